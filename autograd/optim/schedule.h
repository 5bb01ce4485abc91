// Learning rate over steps.
#pragma once

#include <array>
#include <cstdint>

#include "autograd/base/fields.h"

namespace qad {

enum class Schedule : std::uint8_t { constant, cosine, warmup_stable_decay };
constexpr auto enum_names(Schedule) {
  return std::to_array<EnumName<Schedule>>({{Schedule::constant, "constant"},
                                            {Schedule::cosine, "cosine"},
                                            {Schedule::warmup_stable_decay, "warmup_stable_decay"}});
}

struct ScheduleConfig {
  Schedule kind = Schedule::cosine;
  double peak = 1e-4;
  double final_fraction = 0.0;  ///< the rate at the end, relative to the peak (cosine, warmup_stable_decay)
  double decay_fraction = 0.2;  ///< the part of the steps after the warm-up that decays linearly (warmup_stable_decay)
  std::int64_t warmup_steps = 0;
  std::int64_t steps = 1;
};

/// The rate of step 1 … steps: a linear warm-up that reaches the peak at step `warmup_steps`, then by kind. The first
/// step after the warm-up has the peak and the last one is a step short of the end, so no step is spent on a rate of 0.
[[nodiscard]] double learning_rate(const ScheduleConfig& config, std::int64_t step);

}  // namespace qad
