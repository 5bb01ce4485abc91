// All that a run is at one moment, in a checkpoint and out of it: parameters, optimizer, quantizers, position in the
// data, counters. What is not here is made again from the recipe.
#pragma once

#include <map>
#include <string>

#include "autograd/optim/adamw.h"
#include "autograd/optim/weight_average.h"
#include "models/language_model.h"
#include "qad/checkpoint/checkpoint.h"
#include "qad/checkpoint/figures.h"
#include "qad/quant/attach.h"

namespace qad {

struct RunState {
  std::int64_t step = 0;           ///< optimizer steps done, skipped ones included
  std::int64_t tokens = 0;         ///< counted tokens trained on
  std::int64_t data_position = 0;  ///< of the stage
  std::int64_t skipped_steps = 0;
  std::int64_t skipped_in_a_row = 0;
  std::int64_t evaluations_without_better = 0;
  std::int64_t best_step = 0;
  bool has_best = false;
  EvalFigures best;
  EvalFigures before;                ///< of the student before its first step; NaN before that is measured
  std::int64_t beyond_in_a_row = 0;  ///< steps whose loss was beyond the limit of divergence.h
  std::string diverged;              ///< why; empty as long as it has not
  double seconds = 0;                ///< wall time so far
  /// The last step's facts, and whether its evaluation is still to be done (a signal came in the middle of it).
  StepDone last_step;
  bool evaluation_pending = true;  ///< also true before the first one, at step 0

  static void visit_fields(auto& self, auto&& visit) {
    visit("step", self.step);
    visit("tokens", self.tokens);
    visit("data_position", self.data_position);
    visit("skipped_steps", self.skipped_steps);
    visit("skipped_in_a_row", self.skipped_in_a_row);
    visit("beyond_in_a_row", self.beyond_in_a_row);
    visit("evaluations_without_better", self.evaluations_without_better);
    visit("best_step", self.best_step);
    visit("has_best", self.has_best);
    visit("seconds", self.seconds);
    visit("evaluation_pending", self.evaluation_pending);
    visit("best", self.best);
    visit("before", self.before);
    visit("last_step", self.last_step);
    visit("diverged", self.diverged);
  }
};

/// The parts of a run that have state. `optimizer` and `average` are null in best.h5, which is for export and not for
/// resuming, and whose parameters are the averages where there are any.
struct RunParts {
  LanguageModel& student;
  QuantizerSet& quantizers;
  AdamW* optimizer;
  WeightAverage* average = nullptr;
  /// What else goes on from where it was, by its names in checkpoints; these all begin with kOscillation.
  std::map<std::string, Tensor> sums{};
};
inline constexpr const char* kOscillation = "oscillation/";

/// Called by all ranks together where there is an optimizer: the first one gets the moments that others keep.
[[nodiscard]] CheckpointContent pack(const RunState& state, const RunParts& parts, const std::string& recipe);
/// The reverse; without an optimizer the student is the average, if the checkpoint has one. A checkpoint of another
/// model is an error that names the first tensor that does not fit.
[[nodiscard]] RunState unpack(const CheckpointContent& content, const RunParts& parts, const std::string& file);

}  // namespace qad
