// A run like another one with fewer layers, experts or answers, for plans of so many that nobody can go through them
// all within seconds.
#pragma once

#include <cstdint>

#include "qad/plan/plan_subject.h"

namespace qad {

/// As many as a plan goes through one by one.
struct PlanLimits {
  std::int64_t layers = 128;
  std::int64_t experts = 2048;  ///< of all layers together
  std::int64_t answers = 2048;  ///< of a step, fewer of long ones
};

enum class PlanSize : std::uint8_t { answers, experts, layers };

/// Answers of a step (0 where it has none), experts of a layer (0 likewise), layers of the larger model.
[[nodiscard]] std::int64_t size_of(const PlanSubject& subject, PlanSize size);
/// How many of them a plan goes through.
[[nodiscard]] std::int64_t most_of(const PlanSubject& subject, PlanSize size, const PlanLimits& limits);
/// The same with about `wanted` of them, and at least one: what size_of says of it tells how many. Layers are a choice
/// of the subject's, evenly from all of it.
[[nodiscard]] PlanSubject smaller_subject(const PlanSubject& subject, PlanSize size, std::int64_t wanted);

}  // namespace qad
