// What qad plan would say of a step's memory.
#pragma once

#include "bench/step/workload.h"
#include "qad/plan/plan_memory.h"

namespace qad::bench {

/// Of a W4A4 student, of `sequences` a forward. `process`: of what is no tensor.
[[nodiscard]] MemoryPlan planned_memory(const Workload& load, const TrainConfig& train, std::int64_t sequences,
                                        std::int64_t process);

}  // namespace qad::bench
