#include "qad/train/step.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "autograd/core/error.h"
#include "autograd/core/profile.h"

namespace qad {

StepResult train_step(const TrainConfig& config, const LossConfig& loss, std::int64_t step, LanguageModel& student,
                      LanguageModel* teacher, AdamW& optimizer, const std::vector<TokenBatch>& micro_batches,
                      const std::function<bool()>& stop) {
  StepResult result;
  result.learning_rate = learning_rate(config.schedule_config(), step);
  const auto skip = [&](std::string reason) {
    clear_gradients(optimizer.parameters());
    result.skipped = true;
    result.reason = std::move(reason);
    return result;
  };
  // The mean is over the tokens of the whole step, so all micro-batches must be known before the first one runs.
  for (const TokenBatch& batch : micro_batches) result.tokens += counted_tokens(loss, batch);
  if (result.tokens == 0) return skip("none of its tokens counts in the loss");

  try {
    for (const TokenBatch& batch : micro_batches) {
      if (stop && stop()) {
        clear_gradients(optimizer.parameters());
        result.stopped = true;
        return result;
      }
      const FusedLoss batch_result = batch_loss(loss, student, teacher, batch, result.tokens);
      result.loss += batch_result.value;
      const ProfilePhase phase("backward");
      backward(batch_result.loss);
    }
  } catch (const NotFinite& error) {
    result.loss = result.gradient_norm = std::numeric_limits<double>::quiet_NaN();
    return skip(error.what());
  }

  const ProfilePhase phase("optimizer");
  result.gradient_norm = gradient_norm(optimizer.parameters());
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm))
    return skip(fmt::format("loss {} or gradient norm {} is not finite", result.loss, result.gradient_norm));
  const bool clipped = config.clip_norm > 0 && result.gradient_norm > config.clip_norm;
  optimizer.step(result.learning_rate, clipped ? config.clip_norm / result.gradient_norm : 1.0);
  return result;
}

}  // namespace qad
