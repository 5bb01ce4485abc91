// All figures of a plan, to be printed as tables (plan.cpp) or as JSON (plan_json.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "qad/plan/plan_memory.h"
#include "qad/plan/plan_subject.h"
#include "qad/plan/plan_time.h"

namespace qad {

/// Of what stays on disk: tensors, not headers. In bytes.
struct PlannedFiles {
  struct Export {
    std::string format;
    std::int64_t bytes = 0;
  };
  std::int64_t checkpoints = 0;  ///< how many are kept
  std::int64_t checkpoint_bytes = 0, best_bytes = 0;
  std::int64_t moments_bytes = 0;  ///< on the disk while it trains
  std::vector<Export> exports;
};

struct RunPlan {
  PlanSubject subject;
  TimePlan time;
  MemoryPlan memory;
  double seconds = 0;  ///< of the whole run, on one rank
  std::int64_t ranks = 1;

  /// What a rank sends in a step, and about as much comes in: its gradients to their owners, its slice to all others.
  [[nodiscard]] std::int64_t bytes_sent_per_step() const;
  [[nodiscard]] std::int64_t steps() const { return subject.trains() ? subject.recipe.train.steps : 0; }
};
[[nodiscard]] RunPlan plan_run(PlanSubject subject, std::int64_t ranks = 1);

/// An arm of a comparison, all its learning rates and seeds taken together.
struct ArmPlan {
  std::string name;
  std::string kind;
  std::int64_t runs = 0;
  std::int64_t steps = 0;       ///< of one run
  double tokens = 0;            ///< of one run
  double seconds_per_step = 0;  ///< 0 where nothing trains
  std::int64_t peak_bytes = 0;  ///< of one run
  double seconds = 0;           ///< of all runs
};
[[nodiscard]] ArmPlan arm_plan(const Arm& arm, const RunPlan& one);

[[nodiscard]] PlannedFiles planned_files(const PlanSubject& subject);
/// Parameters of the student by what they are for: attention, feed-forward, …
[[nodiscard]] std::map<std::string, std::int64_t> parameters_by_part(const PlanSubject& subject);

}  // namespace qad
