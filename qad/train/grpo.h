// Steps of reinforcement learning: the model answers prompts, several times each, and answers that are worth more than
// others to the same prompt become likelier (GRPO; its objective is in grpo_objective.h).
//
// A step's prompts and the random numbers of its answers follow from its number, so a checkpoint keeps nothing of it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "models/language_model.h"
#include "qad/quant/decode_head.h"
#include "qad/train/grpo_objective.h"
#include "qad/train/stage.h"
#include "qad/train/train_config.h"

namespace qad {

struct Reward {
  double value = 0;
  bool right = false;
};

/// Where prompts come from, and what an answer to one is worth: both pure functions.
class RewardedPrompts {
 public:
  virtual ~RewardedPrompts() = default;
  /// Token ids of prompt `index` (from 0), at least one.
  [[nodiscard]] virtual std::vector<std::int32_t> prompt(std::int64_t index) const = 0;
  /// `answer` is what the model wrote, its end token left out; `cut` when it had not come to one.
  [[nodiscard]] virtual Reward reward(std::int64_t index, std::span<const std::int32_t> answer, bool cut) const = 0;
};

struct GrpoStageConfig {
  GrpoConfig grpo;
  /// Of these: steps, rates, clipping, and micro_batch_size (or else batch_size): packed sequences a forward.
  TrainConfig train;
  std::int64_t sequence_length = 256;  ///< that answers are packed to
  std::uint64_t seed = 1;              ///< of the sampling
  DecodeConfig decode{};               ///< how answers are written
};

class GrpoStage final : public Stage {
 public:
  /// `reference`: the model as the run began, frozen. All of them must outlive the stage.
  GrpoStage(const GrpoStageConfig& config, LanguageModel& student, LanguageModel& reference,
            const RewardedPrompts& prompts)
      : config_(config), student_(student), reference_(reference), prompts_(prompts) {}

  /// Counts the tokens of answers that it learns from. A step whose groups are each of one mind updates nothing and is
  /// not skipped: there was nothing wrong with it. What is not finite in one of several updates takes back the others.
  [[nodiscard]] StepResult run(std::int64_t step, AdamW& optimizer) override;

 private:
  struct MiniBatch;
  [[nodiscard]] StepResult learn(std::int64_t step, AdamW& optimizer);
  /// What the answers were to their writer and are to the reference. Returns the KL between them.
  double look_up(std::vector<MiniBatch>& mini_batches);
  /// One update. `is_first`: the model is still the one that wrote the answers.
  [[nodiscard]] StepResult learn_from(const MiniBatch& mini, bool is_first, std::int64_t step, AdamW& optimizer);

  GrpoStageConfig config_;
  LanguageModel& student_;
  LanguageModel& reference_;
  const RewardedPrompts& prompts_;
};

}  // namespace qad
