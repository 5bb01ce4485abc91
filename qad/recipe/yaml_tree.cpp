#include "qad/recipe/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "qad/recipe/catalogue.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxDepth = 64;
constexpr int kMaxNodes = 100'000;  // aliases of aliases grow without end

// From the library's nodes to ours, with what YAML allows and we do not reported.
class Converter {
 public:
  Converter(const std::string& file, YamlProblems& problems) : file_(file), problems_(problems) {}

  YamlNode convert(const YAML::Node& from, int depth = 0) {
    YamlNode node;
    node.at = position(from.Mark());
    if (depth > kMaxDepth || ++nodes_ > kMaxNodes) {
      if (!std::exchange(too_big_, true))
        problems_.add(node.at, "", "", "too deep or too large", "does an alias hold itself?");
      return node;
    }
    const std::string& tag = from.Tag();
    if (!tag.empty() && tag != "?" && tag != "!")
      problems_.add(node.at, "", "", fmt::format("the tag {} is not used here", tag));
    switch (from.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null: break;
      case YAML::NodeType::Scalar:
        node.kind = YamlNode::Kind::scalar;
        node.scalar = from.Scalar();
        node.quoted = tag == "!";
        break;
      case YAML::NodeType::Sequence:
        node.kind = YamlNode::Kind::sequence;
        for (const auto& item : from) node.items.push_back(convert(item, depth + 1));
        break;
      case YAML::NodeType::Map:
        node.kind = YamlNode::Kind::map;
        convert_entries(from, node, depth);
        break;
    }
    return node;
  }

 private:
  YamlPosition position(const YAML::Mark& mark) const {
    return mark.is_null() ? YamlPosition{file_, 1, 1} : YamlPosition{file_, mark.line + 1, mark.column + 1};
  }

  void convert_entries(const YAML::Node& from, YamlNode& map, int depth) {
    std::map<std::string, YamlPosition, std::less<>> seen;
    for (const auto& entry : from) {
      throw_if_stopped();
      add_entry(map, entry.first, entry.second, depth, seen);
    }
  }

  void add_entry(YamlNode& map, const YAML::Node& key, const YAML::Node& value, int depth,
                 std::map<std::string, YamlPosition, std::less<>>& seen) {
    const YamlPosition at = position(key.Mark());
    if (!key.IsScalar()) {
      problems_.add(at, "", "a name as key", "something else");
      return;
    }
    const std::string& name = key.Scalar();
    if (name == "<<") {
      problems_.add(at, "", "", "the merge key << is not part of YAML 1.2", "write the keys out, or use imports");
      return;
    }
    if (const auto [same, is_new] = seen.emplace(name, at); !is_new) {
      problems_.add(at, "", "", fmt::format("the key \"{}\" is given twice", name),
                    same->second.line == 0 ? "" : fmt::format("first in line {}", same->second.line));
      return;
    }
    map.entries.push_back({name, at, convert(value, depth + 1)});
    // The library places an empty value at whatever comes next.
    if (map.entries.back().value.kind == YamlNode::Kind::null) map.entries.back().value.at = at;
  }

  const std::string& file_;
  YamlProblems& problems_;
  int nodes_ = 0;
  bool too_big_ = false;
};

// Where a second document begins; also where the library gave up on the first one without a word.
std::optional<YAML::Mark> second_document(std::string_view text) {
  struct Places final : YAML::EventHandler {
    YAML::Mark last;
    void OnDocumentStart(const YAML::Mark& mark) override { last = mark; }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
    void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
    void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
    void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnMapEnd() override {}
  } places;
  std::istringstream stream{std::string(text)};
  YAML::Parser parser(stream);
  const bool has_two = parser.HandleNextDocument(places) && parser.HandleNextDocument(places);
  return has_two ? std::optional(places.last) : std::nullopt;
}

void put_everywhere(YamlNode& node, const YamlPosition& at) {
  node.at = at;
  for (YamlNode& item : node.items) put_everywhere(item, at);
  for (YamlNode::Entry& entry : node.entries) entry.key_at = at, put_everywhere(entry.value, at);
}

// As a reader would type it: relative when it stands below the working directory.
std::string shown(const fs::path& file) {
  const fs::path relative = file.lexically_normal().lexically_proximate(fs::current_path());
  return (file.is_absolute() && (relative.empty() || *relative.begin() == "..")) ? file.lexically_normal().string()
                                                                                 : relative.lexically_normal().string();
}

class Importer {
 public:
  Importer(const fs::path& recipes_folder, YamlProblems& problems) : recipes_(recipes_folder), problems_(problems) {}

  // Lays the file's imports and then the file itself on what was merged before.
  void add(const fs::path& file) {
    chain_.push_back(fs::weakly_canonical(file));
    done_.push_back(chain_.back());
    YamlNode own = parse_yaml(read_file(file, "a recipe"), shown(file), problems_);
    const auto imports =
        std::find_if(own.entries.begin(), own.entries.end(), [](const auto& e) { return e.key == "imports"; });
    if (imports != own.entries.end()) {
      const YamlNode names = std::move(imports->value);
      own.entries.erase(imports);
      if (names.kind != YamlNode::Kind::sequence)
        problems_.add(names.at, "imports", "a list of recipes", names.description());
      for (const YamlNode& name : names.items) add_import(name, file.parent_path());
    }
    if (own.kind == YamlNode::Kind::map) merge_yaml(merged, own, problems_);
    else problems_.add(own.at, "", "a map of keys", own.description());
    chain_.pop_back();
  }

  YamlNode merged;

 private:
  void add_import(const YamlNode& name, const fs::path& folder) {
    if (name.kind != YamlNode::Kind::scalar) {
      problems_.add(name.at, "imports", "the name of a recipe", name.description());
      return;
    }
    const fs::path file = find(name.scalar, folder);
    if (file.empty()) {
      problems_.add(name.at, "imports", "", fmt::format("there is no recipe \"{}\"", name.scalar),
                    fmt::format("looked in {}{}", folder.empty() ? "./" : shown(folder / ""),
                                recipes_.empty() ? "; no folder of recipes: " + looked_in_places()
                                                 : " and " + shown(recipes_ / "")));
      return;
    }
    const fs::path whole = fs::weakly_canonical(file);
    const auto open = std::find(chain_.begin(), chain_.end(), whole);
    if (open != chain_.end()) {
      std::string cycle;
      for (auto link = open; link != chain_.end(); ++link) cycle += shown(*link) + " -> ";
      problems_.add(name.at, "imports", "", "a cycle: " + cycle + shown(*open));
    } else if (std::find(done_.begin(), done_.end(), whole) == done_.end()) {
      add(file);
    }
  }

  fs::path find(const std::string& name, const fs::path& folder) const {
    std::vector<fs::path> places = {folder};
    if (!recipes_.empty()) places.push_back(recipes_);
    for (const fs::path& place : places)
      for (const char* ending : {"", ".yaml"})
        if (fs::path file = place / (name + ending); fs::is_regular_file(file)) return file;
    return {};
  }

  fs::path recipes_;
  YamlProblems& problems_;
  std::vector<fs::path> chain_;  // the files that are being read, outermost first
  std::vector<fs::path> done_;   // and all that were read
};

}  // namespace

YamlNode parse_yaml(std::string_view text, const std::string& file, YamlProblems& problems) {
  try {
    if (const auto second = second_document(text)) {
      problems.add({file, second->line + 1, second->column + 1}, "", "one document", "the start of another");
    }
    // Not LoadAll: on `, a]` it finds documents without end (yaml-cpp 0.7).
    const YAML::Node document = YAML::Load(std::string(text));
    if (document.IsDefined() && !document.IsNull()) return Converter(file, problems).convert(document);
  } catch (const YAML::Exception& error) {
    const YamlPosition at{file, error.mark.line + 1, error.mark.column + 1};
    throw Error({.who = at.text(), .expected = "YAML", .got = error.msg}, ExitCode::usage);
  }
  YamlNode nothing;
  nothing.at = {file, 1, 1};
  return nothing;
}

YamlNode load_yaml(const fs::path& file, const fs::path& recipes_folder, YamlProblems& problems) {
  if (!fs::is_regular_file(file)) {
    throw Error({.who = file.string(), .expected = "a recipe", .got = fs::exists(file) ? "no file" : "nothing there"},
                ExitCode::usage);
  }
  Importer importer(recipes_folder, problems);
  importer.merged.kind = YamlNode::Kind::map;
  importer.merged.at = {shown(file), 1, 1};
  importer.add(file);
  return std::move(importer.merged);
}

void merge_yaml(YamlNode& base, const YamlNode& over, YamlProblems& problems) {
  if (over.kind != YamlNode::Kind::map) {
    base = over;
    return;
  }
  if (base.kind != YamlNode::Kind::map) {
    base = YamlNode();
    base.kind = YamlNode::Kind::map;
    base.at = over.at;
  }
  std::map<std::string, std::size_t, std::less<>> places;
  for (std::size_t i = 0; i < base.entries.size(); ++i) places.emplace(base.entries[i].key, i);
  for (const YamlNode::Entry& entry : over.entries) {
    throw_if_stopped();
    const bool appends = entry.key.size() > 1 && entry.key.back() == '+';
    const std::string key = appends ? entry.key.substr(0, entry.key.size() - 1) : entry.key;
    const auto [place, is_new] = places.emplace(key, base.entries.size());
    if (is_new) base.entries.push_back({key, entry.key_at, YamlNode()});
    YamlNode::Entry* const target = &base.entries[place->second];
    target->key_at = entry.key_at;
    if (!appends) {
      merge_yaml(target->value, entry.value, problems);
      continue;
    }
    YamlNode& list = target->value;
    const bool can_append = list.kind == YamlNode::Kind::null || list.kind == YamlNode::Kind::sequence;
    if (!can_append || entry.value.kind != YamlNode::Kind::sequence) {
      problems.add(entry.key_at, entry.key, can_append ? "a list to append" : "a list to append to",
                   can_append ? entry.value.description() : list.description());
      continue;
    }
    list.kind = YamlNode::Kind::sequence;
    list.at = entry.value.at;
    list.items.insert(list.items.end(), entry.value.items.begin(), entry.value.items.end());
  }
}

YamlNode parse_override(std::string_view text, const YamlPosition& where, YamlProblems& problems) {
  const YamlPosition at = where.file.empty() ? YamlPosition{fmt::format("command line: \"{}\"", text)} : where;
  const std::size_t equals = text.find('=');
  std::string_view path = text.substr(0, equals);
  YamlNode nothing;
  nothing.kind = YamlNode::Kind::map;
  nothing.at = at;
  if (equals == std::string_view::npos || path.empty() || path.front() == '.' || path.back() == '.' ||
      path.find("..") != std::string_view::npos) {
    problems.add(at, "", "key.path=value", fmt::format("\"{}\"", text));
    return nothing;
  }
  YamlNode tree;
  try {
    tree = parse_yaml(text.substr(equals + 1), at.file, problems);
  } catch (const Error&) {
    problems.add(at, path, "a YAML value", fmt::format("\"{}\"", text.substr(equals + 1)), "does it need quotes?");
    return nothing;
  }
  put_everywhere(tree, at);
  for (bool more = true; more;) {  // innermost key first
    const std::size_t dot = path.rfind('.');
    more = dot != std::string_view::npos;
    YamlNode map;
    map.kind = YamlNode::Kind::map;
    map.at = at;
    map.entries.push_back({std::string(more ? path.substr(dot + 1) : path), at, std::move(tree)});
    tree = std::move(map);
    path = path.substr(0, more ? dot : 0);
  }
  return tree;
}

}  // namespace qad
