#include "qad/cli/verbs.h"

#include <fmt/format.h>

#include <array>

#include "qad/recipe/nearest_name.h"

namespace qad::cli {

std::span<const Verb> verbs() {
  static constexpr auto kVerbs = std::to_array<Verb>({
      {"run", "Runs a recipe: pretrain, sft, grpo, merge, prune, ptq, qat, qad or autoquantize.", run_verb, true},
      {"resume", "Goes on from the newest whole checkpoint of a run.", resume_verb, true},
      {"compare", "Runs the arms of a recipe on the same teacher, data and token budget.", compare_verb, true},
      {"eval", "Measures a student against its teacher on held-out text.", eval_verb},
      {"export", "Writes a run's student as a Hugging Face folder.", export_verb},
      {"quantize", "Quantizes a model into an export part by part, however large it is.", quantize_verb},
      {"inspect", "Shows what is in a checkpoint, a safetensors folder or a recipe.", inspect_verb},
      {"plan", "Predicts parameters, tokens, memory and time of a recipe without running it.", plan_verb},
      {"recipes", "Lists, shows, explains and checks recipes.", recipes_verb},
      {"generate", "Writes text with a student, a teacher or any model.", generate_verb},
      {"import", "Turns a foreign model layout into a Hugging Face folder.", import_verb},
      {"help", "Tells what there is, or what a verb takes.", help_verb},
      {"version", "Prints the version.", version_verb},
  });
  return kVerbs;
}

const Verb& verb_named(const std::string& name) {
  std::vector<std::string_view> known;
  for (const Verb& verb : verbs()) {
    if (verb.name == name) return verb;
    known.push_back(verb.name);
  }
  const std::string hint = name.starts_with('-') ? "options stand behind the verb" : name_hint(name, known);
  throw Error({.who = fmt::format("unknown verb \"{}\"", name), .hint = hint}, ExitCode::usage);
}

ExitCode call_verb(const Verb& verb, std::vector<std::string> arguments) {
  CommandLine line(verb.name, verb.summary, std::move(arguments));
  return verb.run(line);
}

std::vector<VerbDescription> describe_verbs() {
  std::vector<VerbDescription> descriptions;
  for (const Verb& verb : verbs()) {
    CommandLine line(verb.name, verb.summary);
    verb.run(line);
    descriptions.push_back(line.description());
  }
  return descriptions;
}

std::string usage_text() {
  std::string text = "usage: qad VERB … (qad help VERB tells more)\n\nverbs:\n";
  for (const Verb& verb : verbs()) text += fmt::format("  {:<10} {}\n", verb.name, verb.summary);
  return text +
         "\nexit codes: 0 done, 1 failed, 2 bad usage or recipe, 3 stopped by a signal, with all that was done saved\n";
}

}  // namespace qad::cli
