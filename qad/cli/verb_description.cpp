#include "qad/cli/verb_description.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace qad::cli {

std::string VerbDescription::synopsis() const {
  std::string text = "qad " + name;
  for (const ArgumentDescription& argument : arguments) {
    const std::string shown = argument.name + (argument.repeats ? " ..." : "");
    text += argument.is_required ? " " + shown : fmt::format(" [{}]", shown);
  }
  for (const OptionDescription& option : options)
    if (option.is_required) text += fmt::format(" --{} {}", option.name, option.value_name);
  return text;
}

std::vector<std::string> words_of(std::string_view value_name) {
  std::vector<std::string> words;
  while (true) {
    const std::size_t bar = value_name.find('|');
    words.emplace_back(value_name.substr(0, bar));
    if (bar == std::string_view::npos) return words;
    value_name.remove_prefix(bar + 1);
  }
}

Completion completion_of(std::string_view value_name) {
  const auto is_of_a_word = [](char c) {
    return std::islower(static_cast<unsigned char>(c)) || std::isdigit(static_cast<unsigned char>(c)) || c == '_' ||
           c == '|';
  };
  if (value_name.empty()) return Completion::nothing;
  if (std::all_of(value_name.begin(), value_name.end(), is_of_a_word)) return Completion::words;
  const std::vector<std::string> names = words_of(value_name);
  const auto says = [&](std::string_view name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  if (says("RECIPE")) return Completion::recipes;
  if (says("PRESET")) return Completion::presets;
  if (says("VERB")) return Completion::verbs;
  constexpr auto kFiles = std::to_array<std::string_view>({"FILE", "DIR", "MODEL"});
  return std::any_of(kFiles.begin(), kFiles.end(), says) ? Completion::files : Completion::nothing;
}

}  // namespace qad::cli
