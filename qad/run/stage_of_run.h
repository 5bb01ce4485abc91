// What the steps of a recipe's run do, with all that lives as long as they.
#pragma once

#include <filesystem>
#include <memory>

#include "autograd/base/error.h"
#include "qad/run/materials.h"
#include "qad/train/grpo.h"
#include "qad/train/trainer.h"

namespace qad {

/// Text is read through a loader; reinforcement learning has prompts.
struct StageOfRun {
  std::unique_ptr<Loader> loader;
  std::unique_ptr<RewardedPrompts> prompts;
  std::unique_ptr<Stage> stage;  ///< null if nothing trains
};
/// That kind: grpo finds none in the folder that its model has.
[[nodiscard]] Error needs_tokenizer(const std::filesystem::path& model_folder);

/// `materials` and `student` must outlive it.
[[nodiscard]] StageOfRun make_stage(const Recipe& recipe, const TrainerConfig& config, const Materials& materials,
                                    LanguageModel& student);

}  // namespace qad
