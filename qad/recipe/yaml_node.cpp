#include "qad/recipe/yaml_node.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <tuple>
#include <utility>

#include "autograd/base/error.h"

namespace qad {

std::string YamlPosition::text() const { return line == 0 ? file : fmt::format("{}:{}:{}", file, line, column); }

YamlNode YamlNode::plain(std::string text) {
  YamlNode node;
  node.kind = Kind::scalar;
  node.scalar = std::move(text);
  return node;
}

YamlNode YamlNode::string(std::string text) {
  YamlNode node = plain(std::move(text));
  node.quoted = true;
  return node;
}

const YamlNode* YamlNode::find(std::string_view key) const {
  const auto entry = std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.key == key; });
  return entry == entries.end() ? nullptr : &entry->value;
}

const YamlNode* YamlNode::find_path(std::string_view dotted) const {
  const std::size_t dot = dotted.find('.');
  const std::string_view name = dotted.substr(0, dot);
  const std::size_t bracket = name.find('[');
  const YamlNode* child = find(name.substr(0, bracket));
  if (child != nullptr && bracket != std::string_view::npos) {
    std::size_t index = 0;
    std::from_chars(name.data() + bracket + 1, name.data() + name.size(), index);
    child = index < child->items.size() ? &child->items[index] : nullptr;
  }
  if (child == nullptr || dot == std::string_view::npos) return child;
  return child->find_path(dotted.substr(dot + 1));
}

void YamlNode::add(std::string key, YamlNode value) { entries.push_back({std::move(key), {}, std::move(value)}); }

std::string YamlNode::description() const {
  switch (kind) {
    case Kind::null: return "nothing";
    case Kind::sequence: return "a list";
    case Kind::map: return "a map";
    case Kind::scalar: break;
  }
  return quoted ? fmt::format("the text \"{}\"", scalar) : fmt::format("\"{}\"", scalar);
}

void YamlProblems::add(const YamlPosition& at, std::string_view key, std::string expected, std::string got,
                       std::string hint) {
  std::string who = at.text();
  if (!key.empty()) who += fmt::format(": {}", key);
  std::string text =
      Error({.who = std::move(who), .expected = std::move(expected), .got = std::move(got), .hint = std::move(hint)})
          .what();
  if (!texts_.insert(text).second) return;  // a snippet that is imported twice would tell its problems twice
  const std::size_t file = files_.emplace(at.file, files_.size()).first->second;
  problems_.push_back({file, at.line, at.column, std::move(text)});
}

void YamlProblems::warn(const YamlPosition& at, std::string_view key, std::string_view text) {
  std::string line = fmt::format("{}: {}: {}", at.text(), key, text);
  if (texts_.insert(line).second) warnings_.push_back(std::move(line));
}

std::vector<std::string> YamlProblems::lines() const {
  std::vector<const Problem*> order;
  for (const Problem& problem : problems_) order.push_back(&problem);
  std::ranges::stable_sort(order, {}, [](const Problem* p) { return std::tuple(p->file, p->line, p->column); });
  std::vector<std::string> lines;
  for (const Problem* problem : order) lines.push_back(problem->text);
  return lines;
}

void YamlProblems::throw_if_any(std::string_view what) const {
  constexpr std::size_t kMost = 100;  // nobody reads more
  if (problems_.empty()) return;
  const std::vector<std::string> lines = this->lines();
  if (lines.size() == 1) throw Error({.who = lines.front()}, ExitCode::usage);
  std::string all = fmt::format("{} errors", lines.size());
  for (std::size_t i = 0; i < std::min(lines.size(), kMost); ++i) all += "\n  " + lines[i];
  if (lines.size() > kMost) all += fmt::format("\n  and {} more", lines.size() - kMost);
  throw Error({.who = std::string(what), .got = std::move(all)}, ExitCode::usage);
}

}  // namespace qad
