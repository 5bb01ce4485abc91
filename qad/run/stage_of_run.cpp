#include "qad/run/stage_of_run.h"

#include "qad/train/problem_prompts.h"
#include "qad/train/text_stage.h"

namespace qad {

Error needs_tokenizer(const std::filesystem::path& model_folder) {
  return Error({.who = "kind: grpo",
                .expected = "a tokenizer",
                .got = "none in " + model_folder.string(),
                .hint = "set data.tokenizer"});
}

StageOfRun make_stage(const Recipe& recipe, const TrainerConfig& config, const Materials& materials,
                      LanguageModel& student) {
  StageOfRun run;
  const auto seed = static_cast<std::uint64_t>(recipe.seed);
  if (recipe.row().steps == Steps::answers) {
    if (materials.tokenizer == nullptr) throw needs_tokenizer(materials.model_folder);
    if (student.config().eos_token_id.empty())
      throw Error({.who = recipe.student.model,
                   .expected = "an end token in config.json",
                   .got = "none",
                   .hint = "answers must be able to end"});
    run.prompts = std::make_unique<ProblemPrompts>(*recipe.grpo, *materials.tokenizer);
    run.stage = std::make_unique<GrpoStage>(
        GrpoStageConfig{*recipe.grpo, config.train, recipe.data.sequence_length, seed, recipe.decode}, student,
        *materials.reference, *run.prompts);
  } else if (materials.train != nullptr) {
    run.loader = std::make_unique<Loader>(*materials.train, recipe.data.order, seed);
    run.stage = std::make_unique<TextStage>(config.train, config.loss, student, materials.teacher.get(), *run.loader);
  }
  return run;
}

}  // namespace qad
