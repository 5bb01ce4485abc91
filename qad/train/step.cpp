#include "qad/train/step.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "autograd/base/profile.h"
#include "autograd/tape/gradient_products.h"

namespace qad {

StepResult update(const TrainConfig& config, std::int64_t step, AdamW& optimizer, std::size_t micro_batches,
                  const std::function<FusedLoss(std::size_t)>& forward) {
  StepResult result;
  result.learning_rate = learning_rate(config.schedule_config(), step);
  const auto skip = [&](std::string reason) {
    clear_gradients(optimizer.parameters());
    result.skipped = true;
    result.reason = std::move(reason);
    return result;
  };
  try {
    const GradientProductsScope precision(config.backward);
    for (std::size_t i = 0; i < micro_batches; ++i) {
      throw_if_stopped();
      const FusedLoss batch_result = forward(i);
      result.loss += batch_result.value;
      const ProfilePhase phase("backward");
      backward(batch_result.loss);
    }
  } catch (const NotFinite& error) {
    result.loss = result.gradient_norm = std::numeric_limits<double>::quiet_NaN();
    return skip(error.what());
  }

  const ProfilePhase phase("optimizer");
  optimizer.clear_waiting();
  result.gradient_norm = gradient_norm(optimizer.parameters());
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm))
    return skip(fmt::format("loss {} or gradient norm {} is not finite", result.loss, result.gradient_norm));
  const bool clipped = config.clip_norm > 0 && result.gradient_norm > config.clip_norm;
  optimizer.step(result.learning_rate, clipped ? config.clip_norm / result.gradient_norm : 1.0);
  return result;
}

StepResult train_step(const TrainConfig& config, const LossConfig& loss, std::int64_t step, LanguageModel& student,
                      LanguageModel* teacher, AdamW& optimizer, const std::vector<TokenBatch>& micro_batches) {
  // The mean is over the tokens of the whole step, so all micro-batches must be known before the first one runs.
  std::int64_t tokens = 0;
  for (const TokenBatch& batch : micro_batches) tokens += counted_tokens(loss, batch);
  StepResult result;
  if (tokens > 0) {
    const auto forward = [&](std::size_t i) { return batch_loss(loss, student, teacher, micro_batches[i], tokens); };
    result = update(config, step, optimizer, micro_batches.size(), forward);
  } else {
    result.learning_rate = learning_rate(config.schedule_config(), step);
    result.skipped = true;
    result.reason = "none of its tokens counts in the loss";
  }
  result.tokens = tokens;
  return result;
}

}  // namespace qad
