#include "qad/cli/verbs.h"

#include <array>

namespace qad::cli {

std::span<const Verb> verbs() {
  static constexpr auto kVerbs = std::to_array<Verb>({
      {"run", "Runs a recipe: pretrain, sft, grpo, merge, ptq, qat or qad.", run_verb},
      {"resume", "Goes on from the newest whole checkpoint of a run.", resume_verb},
      {"compare", "Runs the arms of a recipe on the same teacher, data and token budget.", compare_verb},
      {"eval", "Measures a student against its teacher on held-out text.", eval_verb},
      {"export", "Writes a run's student as a Hugging Face folder.", export_verb},
      {"inspect", "Shows what is in a checkpoint, a safetensors folder or a recipe.", inspect_verb},
      {"plan", "Predicts parameters, tokens, memory and time of a recipe without running it.", plan_verb},
      {"recipes", "Lists, shows, explains and checks recipes.", recipes_verb},
      {"generate", "Writes text with a student, a teacher or any model.", generate_verb},
      {"import", "Turns a foreign model layout into a Hugging Face folder.", import_verb},
  });
  return kVerbs;
}

}  // namespace qad::cli
