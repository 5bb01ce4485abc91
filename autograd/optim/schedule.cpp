#include "autograd/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace qad {

double learning_rate(const ScheduleConfig& config, std::int64_t step) {
  if (step <= config.warmup_steps)
    return config.peak * static_cast<double>(step) / static_cast<double>(config.warmup_steps);
  const auto after_warmup = static_cast<double>(step - 1 - config.warmup_steps);
  const auto span = static_cast<double>(std::max<std::int64_t>(1, config.steps - config.warmup_steps));
  const double progress = std::min(1.0, after_warmup / span);
  const double fall = 1.0 - config.final_fraction;
  switch (config.kind) {
    case Schedule::constant: return config.peak;
    case Schedule::cosine:
      return config.peak * (config.final_fraction + fall * 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
    case Schedule::warmup_stable_decay: {
      const double decayed = std::max(0.0, progress - (1.0 - config.decay_fraction)) / config.decay_fraction;
      return config.peak * (1.0 - fall * decayed);
    }
  }
  return config.peak;
}

}  // namespace qad
