// One optimizer step, readable top to bottom.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "autograd/optim/adamw.h"
#include "models/language_model.h"
#include "qad/loss/loss.h"
#include "qad/train/events.h"
#include "qad/train/train_config.h"

namespace qad {

struct StepResult {
  bool skipped = false;  ///< nothing was updated, because of `reason`
  std::string reason;    ///< what was not finite, or that no token counts
  double loss = 0;       ///< mean over the step's counted tokens
  double gradient_norm = 0;
  double learning_rate = 0;
  std::int64_t tokens = 0;  ///< counted
  std::optional<RolloutFigures> rollout;
};

/// One update of step `step` (1-based): forward(i) and backward of each micro-batch, clipping, AdamW. The result's loss
/// is the sum of theirs; it has no tokens. Stopped leaves gradients behind, and nothing else.
[[nodiscard]] StepResult update(const TrainConfig& config, std::int64_t step, AdamW& optimizer,
                                std::size_t micro_batches, const std::function<FusedLoss(std::size_t)>& forward);

/// One update from text, the mean over all micro-batches' counted tokens. `teacher` may be null for
/// cross-entropy.
[[nodiscard]] StepResult train_step(const TrainConfig& config, const LossConfig& loss, std::int64_t step,
                                    LanguageModel& student, LanguageModel* teacher, AdamW& optimizer,
                                    const std::vector<TokenBatch>& micro_batches);

}  // namespace qad
