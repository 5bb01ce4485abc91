#include "qad/train/step.h"

#include <cmath>

#include "autograd/core/error.h"

namespace qad {

StepResult train_step(const TrainConfig& config, const LossConfig& loss, std::int64_t step, LanguageModel& student,
                      LanguageModel* teacher, AdamW& optimizer, const std::vector<TokenBatch>& micro_batches,
                      const std::function<bool()>& stop) {
  StepResult result;
  // The mean is over the tokens of the whole step, so all micro-batches must be known before the first one runs.
  for (const TokenBatch& batch : micro_batches) result.tokens += counted_tokens(loss, batch);
  if (result.tokens == 0)
    throw Error({"step " + std::to_string(step), "at least one token that counts in the loss", "none",
                 "the mask of this data leaves nothing to learn from"});

  for (const TokenBatch& batch : micro_batches) {
    if (stop && stop()) {
      clear_gradients(optimizer.parameters());
      result.stopped = true;
      return result;
    }
    const FusedLoss batch_result = batch_loss(loss, student, teacher, batch, result.tokens);
    result.loss += batch_result.value;
    backward(batch_result.loss);
  }

  result.gradient_norm = gradient_norm(optimizer.parameters());
  result.learning_rate = learning_rate(config.schedule_config(), step);
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) {
    clear_gradients(optimizer.parameters());
    result.skipped = true;
    return result;
  }
  const bool clipped = config.clip_norm > 0 && result.gradient_norm > config.clip_norm;
  optimizer.step(result.learning_rate, clipped ? config.clip_norm / result.gradient_norm : 1.0);
  return result;
}

}  // namespace qad
