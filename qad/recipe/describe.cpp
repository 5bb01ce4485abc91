#include "qad/recipe/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "qad/recipe/yaml_text.h"

namespace qad {

std::string range_text(const Field& field) {
  const bool has_min = std::isfinite(field.min), has_max = std::isfinite(field.max);
  std::string text;
  if (has_min) text = fmt::format("{} {}", field.above_min ? "above" : "at least", field.min);
  if (has_max) text += fmt::format("{}{} {}", has_min ? ", " : "", field.below_max ? "below" : "at most", field.max);
  return text;
}

std::string description_text(const std::vector<KeyDescription>& keys) {
  std::size_t key_width = 0, type_width = 0, default_width = 0;
  constexpr std::size_t kWidest = 28;  // a longer entry pushes its own line only
  for (const KeyDescription& k : keys) {
    key_width = std::max(key_width, std::min(kWidest, k.key.size()));
    type_width = std::max(type_width, std::min(kWidest, k.type.size()));
    default_width = std::max(default_width, std::min(kWidest, k.default_value.size()));
  }
  std::string text =
      fmt::format("{:<{}}  {:<{}}  {:<{}}  help\n", "key", key_width, "type", type_width, "default", default_width);
  for (const KeyDescription& k : keys) {
    const std::string range = k.range.empty() ? "" : fmt::format(" ({})", k.range);
    text += fmt::format("{:<{}}  {:<{}}  {:<{}}  {}{}{}\n", k.key, key_width, k.type, type_width, k.default_value,
                        default_width, k.help, range, k.may_change ? " [qad resume may change it]" : "");
  }
  return text;
}

namespace detail {

std::string choices_text(const std::vector<std::string_view>& names) {
  return fmt::format("{}", fmt::join(names, " | "));
}

std::string default_text(const YamlNode& value) {
  std::string text = yaml_text(value);
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text.find('\n') == std::string::npos ? text : "see recipe";
}

}  // namespace detail
}  // namespace qad
