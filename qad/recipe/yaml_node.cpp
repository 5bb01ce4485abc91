#include "qad/recipe/yaml_node.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "autograd/core/error.h"

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
  const YamlNode* child = find(dotted.substr(0, dot));
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
  std::string line = Error({std::move(who), std::move(expected), std::move(got), std::move(hint)}).what();
  // A snippet that is imported twice would tell its problems twice.
  if (std::find(lines_.begin(), lines_.end(), line) != lines_.end()) return;
  std::ptrdiff_t place = std::ssize(lines_);
  const auto comes_later = [&](const YamlPosition& other) {
    return other.file == at.file && std::pair(other.line, other.column) > std::pair(at.line, at.column);
  };
  while (place > 0 && comes_later(positions_[static_cast<std::size_t>(place - 1)])) --place;
  lines_.insert(lines_.begin() + place, std::move(line));
  positions_.insert(positions_.begin() + place, at);
}

void YamlProblems::throw_if_any(std::string_view what) const {
  if (lines_.empty()) return;
  if (lines_.size() == 1) throw Error({lines_.front(), "", "", ""}, ExitCode::usage);
  std::string all = fmt::format("{} errors", lines_.size());
  for (const std::string& line : lines_) all += "\n  " + line;
  throw Error({std::string(what), "", std::move(all), ""}, ExitCode::usage);
}

}  // namespace qad
