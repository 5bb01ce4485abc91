#include "qad/recipe/yaml_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <optional>

#include "autograd/base/interrupt.h"
#include "qad/recipe/catalogue.h"
#include "qad/recipe/describe.h"
#include "qad/recipe/nearest_name.h"
#include "qad/recipe/peer_words.h"

namespace qad::detail {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view without_sign(std::string_view text) {
  return !text.empty() && (text.front() == '-' || text.front() == '+') ? text.substr(1) : text;
}

// `010` is eight to some readers and ten to others: it is no number here.
bool has_leading_zero(std::string_view text) {
  text = without_sign(text);
  return text.size() > 1 && text[0] == '0' && is_digit(text[1]);
}

// The whole text as a number; from_chars knows neither `+` nor, in this check, `inf`, `nan` and hexadecimal digits.
template <class Number>
std::optional<Number> parse(std::string_view text) {
  const std::string_view digits = without_sign(text);
  if (digits.empty() || !(is_digit(digits.front()) || digits.front() == '.') || has_leading_zero(text)) return {};
  if (text.front() == '+') text.remove_prefix(1);
  Number number{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size()) return {};
  return number;
}

std::string number_hint(const YamlNode& node) {
  if (node.kind != YamlNode::Kind::scalar) return "";
  if (node.quoted) return "without quotes?";
  if (has_leading_zero(node.scalar)) return "a leading zero means octal to some readers";
  if (node.scalar.find('_') != std::string::npos || node.scalar.find(',') != std::string::npos)
    return "without separators between digits";
  return "";
}

template <class Number>
void read_number(const YamlNode& node, const Field& field, const std::string& key, std::string_view kind, Number& value,
                 YamlProblems& problems) {
  const std::string range = range_text(field);
  const std::string expected = range.empty() ? std::string(kind) : fmt::format("{} {}", kind, range);
  const auto number = node.kind == YamlNode::Kind::scalar && !node.quoted ? parse<Number>(node.scalar) : std::nullopt;
  if (!number) {
    problems.add(node.at, key, expected, node.description(), number_hint(node));
    return;
  }
  const auto x = static_cast<double>(*number);
  const bool too_low = field.above_min ? x <= field.min : x < field.min;
  const bool too_high = field.below_max ? x >= field.max : x > field.max;
  if (too_low || too_high || !std::isfinite(x)) problems.add(node.at, key, expected, node.scalar);
  else value = *number;
}

// QAD_RECIPES is known without being set: where the recipes are.
std::optional<std::string> variable(const std::string& name) {
  if (name == "QAD_RECIPES") {
    const std::filesystem::path folder = recipes_folder();
    return folder.empty() ? std::optional<std::string>() : folder.string();
  }
  const char* set = std::getenv(name.c_str());
  return set == nullptr ? std::optional<std::string>() : set;
}

// ${NAME} and ${NAME:-default}.
std::string from_environment(const YamlNode& node, const std::string& key, YamlProblems& problems) {
  std::string text = node.scalar;
  for (std::size_t begin = text.find("${"); begin != std::string::npos; begin = text.find("${", begin)) {
    const std::size_t end = text.find('}', begin);
    if (end == std::string::npos) break;
    const std::string inside = text.substr(begin + 2, end - begin - 2);
    const std::size_t colon = inside.find(":-");
    const std::string name = inside.substr(0, colon);
    const std::optional<std::string> set = variable(name);
    if (!set && colon == std::string::npos) {
      problems.add(node.at, key, "", fmt::format("the environment variable {} is not set", name),
                   "${NAME:-default} gives a default");
      return text;
    }
    const std::string value = set ? *set : inside.substr(colon + 2);
    text.replace(begin, end - begin + 1, value);
    begin += value.size();
  }
  return text;
}

std::string unknown_key_hint(const YamlNode::Entry& entry, std::string_view section,
                             std::span<const std::string_view> known) {
  const std::string ours = place_of_key(entry.key, section);
  if (ours.empty()) return name_hint(entry.key, known);
  std::string hint = fmt::format("here that is {}", ours);
  for (const YamlNode::Entry& inner : entry.value.entries)  // an optimizer with a learning rate in it
    if (const std::string place = place_of_key(inner.key, entry.key); !place.empty() && !place.starts_with(ours))
      hint += fmt::format(", its {} {}", inner.key, place);
  return hint;
}

}  // namespace

std::string join_key(std::string_view parent, std::string_view key) {
  return parent.empty() ? std::string(key) : fmt::format("{}.{}", parent, key);
}

void read_value(const YamlNode& node, const Field&, const std::string& key, bool& value, YamlProblems& problems) {
  const bool is_plain = node.kind == YamlNode::Kind::scalar && !node.quoted;
  if (is_plain && (node.scalar == "true" || node.scalar == "false")) value = node.scalar == "true";
  else problems.add(node.at, key, "true or false", node.description());
}

void read_value(const YamlNode& node, const Field& field, const std::string& key, std::int64_t& value,
                YamlProblems& problems) {
  read_number(node, field, key, "an integer", value, problems);
}

void read_value(const YamlNode& node, const Field& field, const std::string& key, double& value,
                YamlProblems& problems) {
  const bool is_plain = node.kind == YamlNode::Kind::scalar && !node.quoted;
  // Where the default is one; elsewhere no infinity means anything.
  if (std::isinf(value) && is_plain && (node.scalar == "inf" || node.scalar == ".inf"))
    value = std::numeric_limits<double>::infinity();
  else read_number(node, field, key, "a number", value, problems);
}

void read_value(const YamlNode& node, const Field& field, const std::string& key, std::string& value,
                YamlProblems& problems) {
  if (node.kind != YamlNode::Kind::scalar)
    problems.add(node.at, key, field.is_path ? "a path" : "text", node.description());
  else value = field.is_path ? from_environment(node, key, problems) : node.scalar;
}

std::optional<std::size_t> read_choice(const YamlNode& node, const std::string& key,
                                       std::span<const std::string_view> names, YamlProblems& problems) {
  if (node.kind == YamlNode::Kind::scalar)
    for (std::size_t i = 0; i < names.size(); ++i)
      if (node.scalar == names[i]) return i;
  std::string hint;
  if (const std::string_view near = nearest_name(node.scalar, names); !node.scalar.empty() && !near.empty())
    hint = fmt::format("did you mean \"{}\"?", near);
  problems.add(node.at, key, fmt::format("{}", fmt::join(names, " | ")), node.description(), hint);
  return {};
}

bool expect_kind(const YamlNode& node, YamlNode::Kind kind, const std::string& key, YamlProblems& problems) {
  if (node.kind == kind) return true;
  problems.add(node.at, key, kind == YamlNode::Kind::map ? "a map of keys" : "a list", node.description(),
               node.kind == YamlNode::Kind::null && !key.empty() ? "leave the key out to take its default" : "");
  return false;
}

void report_missing(const YamlNode& map, const Field& field, const std::string& key, YamlProblems& problems) {
  problems.add(map.at, key, fmt::format("a key \"{}\"", field.name), "none", std::string(field.help));
}

void report_unknown_keys(const YamlNode& map, std::string_view key, std::span<const std::string_view> known,
                         YamlProblems& problems) {
  for (const YamlNode::Entry& entry : map.entries) {
    if (std::find(known.begin(), known.end(), entry.key) != known.end()) continue;
    throw_if_stopped();
    problems.add(entry.key_at, key, "", fmt::format("unknown key \"{}\"", entry.key),
                 unknown_key_hint(entry, key, known));
  }
}

YamlNode write_value(bool value) { return YamlNode::plain(value ? "true" : "false"); }
YamlNode write_value(std::int64_t value) { return YamlNode::plain(fmt::format("{}", value)); }
YamlNode write_value(double value) {
  std::string text = fmt::format("{}", value);  // the shortest that reads back to the same bits
  if (std::isfinite(value) && text.find_first_of(".e") == std::string::npos) text += ".0";
  return YamlNode::plain(std::move(text));
}
YamlNode write_value(const std::string& value) { return YamlNode::string(value); }

}  // namespace qad::detail
