#include <fmt/format.h>

#include "qad/cli/completions.h"

namespace qad::cli {
namespace {

std::string fish_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

// What goes behind `complete`: files are fish's own offer, and -f takes it away.
std::string fish_offer(const std::string& value_name) {
  switch (completion_of(value_name)) {
    case Completion::nothing: return " -x";
    case Completion::files: return " -r -F";
    case Completion::recipes: return " -r -F -a '(__qad_recipes)'";
    case Completion::presets: return " -r -F -a '(__qad_presets)'";
    case Completion::verbs: return " -x -a '(__qad_verbs)'";
    case Completion::words: return fmt::format(" -x -a '{}'", fmt::join(words_of(value_name), " "));
  }
  return "";
}

// An argument is offered whatever its place: fish doesn't count places.
std::string line_of(const std::string& verb, const ArgumentDescription& argument) {
  std::string offer = fish_offer(argument.name);
  if (offer == " -x") return "";
  offer.replace(0, 3, offer.starts_with(" -r") ? "" : " -f");  // -r and -x are of options
  return fmt::format("complete -c qad -n '__qad_verb_is {}'{}\n", verb, offer);
}

std::string line_of(const std::string& verb, const OptionDescription& option) {
  return fmt::format("complete -c qad -n '__qad_verb_is {}'{} -l {} -d {}{}\n", verb,
                     option.letter == '\0' ? "" : fmt::format(" -s {}", option.letter), option.name,
                     fish_quoted(option.help), option.value_name.empty() ? "" : fish_offer(option.value_name));
}

}  // namespace

std::string fish_completions(const std::vector<VerbDescription>& verbs) {
  std::string names, lines;
  for (const VerbDescription& verb : verbs) {
    names += fmt::format(" {}", verb.name);
    lines += fmt::format("complete -c qad -f -n __qad_needs_verb -a {} -d {}\n", verb.name, fish_quoted(verb.summary));
    for (const ArgumentDescription& argument : verb.arguments) lines += line_of(verb.name, argument);
    for (const OptionDescription& option : verb.options) lines += line_of(verb.name, option);
  }
  return fmt::format(
      "# fish completion for qad, made by `qad help --completions fish`\n\n"
      "function __qad_verbs\n  string split ' ' -- '{}'\nend\n\n"
      "function __qad_recipes\n  qad recipes list 2>/dev/null | string replace -r ' +' \\t\nend\n\n"
      "function __qad_presets\n  __qad_recipes | string replace -f -r '^presets/' ''\nend\n\n"
      "function __qad_needs_verb\n  test (count (commandline -opc)) -eq 1\nend\n\n"
      "function __qad_verb_is\n  set -l words (commandline -opc)\n"
      "  test (count $words) -gt 1; and test $words[2] = $argv[1]\nend\n\n{}",
      names.substr(1), lines);
}

}  // namespace qad::cli
