#include <fmt/format.h>

#include "qad/cli/completions.h"

namespace qad::cli {
namespace {

// For what stands in single quotes and between the colons of _arguments.
std::string zsh_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') out += "'\\''";
    else if (c == ':' || c == '[' || c == ']' || c == '\\') out += std::string("\\") + c;
    else out += c;
  }
  return out;
}

std::string action_of(const std::string& value_name) {
  switch (completion_of(value_name)) {
    case Completion::nothing: return " ";
    case Completion::files: return "_files";
    case Completion::recipes: return "_qad_recipes";
    case Completion::presets: return "_qad_presets";
    case Completion::verbs: return "_qad_verbs";
    case Completion::words: return fmt::format("({})", fmt::join(words_of(value_name), " "));
  }
  return " ";
}

std::string spec_of(const OptionDescription& option) {
  const std::string names = option.letter == '\0'
                                ? fmt::format("'--{}", option.name)
                                : fmt::format("'(-{0} --{1})'{{-{0},--{1}}}'", option.letter, option.name);
  const std::string value = option.value_name.empty()
                                ? ""
                                : fmt::format(":{}:{}", zsh_escaped(option.value_name), action_of(option.value_name));
  return fmt::format("{}[{}]{}'", names, zsh_escaped(option.help), value);
}

// As if it had to be given: for one that may be left out zsh offers what follows it as well.
std::string spec_of(const ArgumentDescription& argument) {
  return fmt::format("'{}:{}:{}'", argument.repeats ? "*" : "", zsh_escaped(argument.name), action_of(argument.name));
}

}  // namespace

std::string zsh_completions(const std::vector<VerbDescription>& verbs) {
  std::string names, cases;
  for (const VerbDescription& verb : verbs) {
    names += fmt::format("    '{}:{}'\n", verb.name, zsh_escaped(verb.summary));
    cases += fmt::format("    {})\n      _arguments \\\n", verb.name);
    for (const OptionDescription& option : verb.options) cases += "        " + spec_of(option) + " \\\n";
    for (const ArgumentDescription& argument : verb.arguments) cases += "        " + spec_of(argument) + " \\\n";
    cases.resize(cases.size() - 3);
    cases += "\n      ;;\n";
  }
  return fmt::format(
      "#compdef qad\n# zsh completion for qad, made by `qad help --completions zsh`\n\n"
      "_qad_verbs() {{\n  local -a verbs=(\n{}  )\n  _describe verb verbs\n}}\n\n"
      "_qad_recipes() {{\n"
      "  local -a names=(${{(f)\"$(qad recipes list 2>/dev/null | cut -d' ' -f1)\"}})\n"
      "  _alternative 'recipes:recipe:compadd -a names' 'files:file:_files'\n}}\n\n"
      "_qad_presets() {{\n"
      "  local -a names=(${{(f)\"$(qad recipes list 2>/dev/null | sed -n 's|^presets/\\([^ ]*\\).*|\\1|p')\"}})\n"
      "  _alternative 'presets:preset:compadd -a names' 'files:file:_files'\n}}\n\n"
      "_qad() {{\n  if (( CURRENT == 2 )); then\n    _qad_verbs\n    return\n  fi\n"
      "  local verb=$words[2]\n  shift words\n  (( CURRENT-- ))\n  case $verb in\n{}  esac\n}}\n\n"
      "if [ \"$funcstack[1]\" = _qad ]; then _qad \"$@\"; else compdef _qad qad; fi\n",
      names, cases);
}

}  // namespace qad::cli
