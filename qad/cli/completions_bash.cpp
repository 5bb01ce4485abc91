#include <fmt/format.h>

#include "qad/cli/completions.h"

namespace qad::cli {
namespace {

// The script asks two functions, made of the table: which options a verb has, and what stands in a place. Of a place
// they say words to choose from, or @files, @recipes, @presets or @verbs.
constexpr std::string_view kScript = R"SH(
_qad_recipes() { "${COMP_WORDS[0]}" recipes list 2>/dev/null | cut -d' ' -f1; }
_qad_presets() { _qad_recipes | sed -n 's|^presets/||p'; }

_qad_offer() {
  local word=$2
  COMPREPLY=()
  case $1 in
    @files | @recipes | @presets) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
  esac
  case $1 in
    @files) ;;
    @recipes) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$(_qad_recipes)" -- "$word") ;;
    @presets) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$(_qad_presets)" -- "$word") ;;
    @verbs) mapfile -t COMPREPLY < <(compgen -W "$_qad_verbs" -- "$word") ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$1" -- "$word") ;;
  esac
}

_qad() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]} place=0 i
  if [ "$COMP_CWORD" -eq 1 ]; then
    _qad_offer "$_qad_verbs --help --version -V" "$word"
    return
  fi
  # --option=value comes as three words.
  [ "$word" = = ] && word=
  [ "$before" = = ] && before=${COMP_WORDS[COMP_CWORD - 2]}
  local values
  if values=$(_qad_values "$verb" "$before"); then
    _qad_offer "$values" "$word"
    return
  fi
  if [ "${word:0:1}" = - ]; then
    _qad_offer "$(_qad_options "$verb")" "$word"
    return
  fi
  for ((i = 2; i < COMP_CWORD; ++i)); do
    [ "${COMP_WORDS[i]:0:1}" = - ] && continue
    [ "${COMP_WORDS[i]}" = = ] && continue
    _qad_values "$verb" "${COMP_WORDS[i - 1]}" >/dev/null || ((++place))
  done
  _qad_offer "$(_qad_argument "$verb" "$place")" "$word"
}

complete -F _qad qad
)SH";

std::string offer_of(const std::string& value_name) {
  switch (completion_of(value_name)) {
    case Completion::nothing: return "";
    case Completion::files: return "@files";
    case Completion::recipes: return "@recipes";
    case Completion::presets: return "@presets";
    case Completion::verbs: return "@verbs";
    case Completion::words: return fmt::format("{}", fmt::join(words_of(value_name), " "));
  }
  return "";
}

}  // namespace

std::string bash_completions(const std::vector<VerbDescription>& verbs) {
  std::string names, options, values, arguments;
  for (const VerbDescription& verb : verbs) {
    names += (names.empty() ? "" : " ") + verb.name;
    std::string own;
    for (const OptionDescription& option : verb.options) {
      own += (own.empty() ? "--" : " --") + option.name;
      if (!option.value_name.empty())
        values += fmt::format("    \"{} --{}\") echo '{}' ;;\n", verb.name, option.name, offer_of(option.value_name));
    }
    options += fmt::format("    {}) echo '{}' ;;\n", verb.name, own);
    for (std::size_t place = 0; place < verb.arguments.size(); ++place) {
      const ArgumentDescription& argument = verb.arguments[place];
      arguments += fmt::format("    \"{} {}) echo '{}' ;;\n", verb.name,
                               argument.repeats ? "\"*" : fmt::format("{}\"", place), offer_of(argument.name));
    }
  }
  return fmt::format(
      "# bash completion for qad, made by `qad help --completions bash`\n\n"
      "_qad_verbs='{}'\n\n"
      "_qad_options() {{\n  case $1 in\n{}  esac\n}}\n\n"
      "# fails where the option takes no value\n"
      "_qad_values() {{\n  case \"$1 $2\" in\n{}    *) return 1 ;;\n  esac\n}}\n\n"
      "_qad_argument() {{\n  case \"$1 $2\" in\n{}  esac\n}}\n{}",
      names, options, values, arguments, kScript);
}

}  // namespace qad::cli
