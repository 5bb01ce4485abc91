// What a step of a run does: reads text and learns from it, or writes answers and learns from what they are worth. The
// trainer's loop (evaluations, checkpoints, resuming, signals) is the same around all of them.
#pragma once

#include <cstdint>

#include "autograd/optim/adamw.h"
#include "qad/train/step.h"

namespace qad {

class Stage {
 public:
  Stage() = default;
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  virtual ~Stage() = default;

  /// Step `step` (1-based). After Stopped parameters and optimizer are as before; gradients and this stage's position
  /// may not be.
  [[nodiscard]] virtual StepResult run(std::int64_t step, AdamW& optimizer) = 0;

  /// All that a checkpoint keeps of the stage; stays 0 where a step depends on the model and its own number alone.
  [[nodiscard]] virtual std::int64_t position() const { return 0; }
  virtual void seek(std::int64_t) {}
};

}  // namespace qad
