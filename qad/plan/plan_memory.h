// Predicted peak memory of a run: the run's own steps on models without values (autograd/core/dry_run.h), whose ledger
// is read between them. The process itself (program, tokenizer, text, what BLAS and kernels keep) is measured.
#pragma once

#include <cstdint>

#include "qad/plan/smaller_subject.h"

namespace qad {

struct MemoryPlan {
  std::int64_t teacher = 0;       ///< weights
  std::int64_t reference = 0;     ///< the model as it was, which answers are compared with (GRPO)
  std::int64_t student = 0;       ///< FP32 masters
  std::int64_t gradients = 0;     ///< of all parameters, and sums over shards
  std::int64_t moments = 0;       ///< of AdamW, as far as they are in memory, and what train.weight_ema and
                                  ///< oscillation_reset keep
  std::int64_t weight_codes = 0;  ///< quantized weights
  std::int64_t activations = 0;   ///< what backward needs of the largest micro-batch
  std::int64_t logits = 0;        ///< one chunk, student's and teacher's
  std::int64_t working = 0;       ///< what ops need while they run, and blocks kept for batches of other sizes
  std::int64_t exports = 0;       ///< beyond all that, at the end
  std::int64_t process = 0;       ///< everything that is no tensor
  [[nodiscard]] std::int64_t total() const {
    return teacher + reference + student + gradients + moments + weight_codes + activations + logits + working +
           exports + process;
  }
};

/// `process_bytes` is entered as it is. `ranks`: of the first of so many. What is beyond a size that a plan can run
/// through (batches, and what PlanLimits names) is taken to need as much more as it is larger.
[[nodiscard]] MemoryPlan plan_memory(const PlanSubject& subject, std::int64_t process_bytes, std::int64_t ranks = 1,
                                     const PlanLimits& limits = {});

/// Resident memory of this process now, after freed memory has gone back to the system, with what BLAS works in.
[[nodiscard]] std::int64_t resident_bytes_now();

}  // namespace qad
