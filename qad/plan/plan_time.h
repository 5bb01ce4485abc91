// Predicted time of a run: a layer of each kind, a part of the head with its loss, and the optimizer are run on this
// machine for a moment, on random values of the right shapes, and what they took is multiplied.
#pragma once

#include "qad/plan/plan_subject.h"

namespace qad {

/// Seconds, and the floating-point operations of matrix products with weights (two a weight, token and pass).
struct Cost {
  double seconds = 0, operations = 0;
  friend Cost operator*(double factor, const Cost& cost) { return {factor * cost.seconds, factor * cost.operations}; }
  friend Cost operator+(const Cost& a, const Cost& b) { return {a.seconds + b.seconds, a.operations + b.operations}; }
};

/// Of a step with the average number of tokens; all zero where nothing trains.
struct TimePlan {
  Cost teacher_layers, student_layers, head, optimizer;
  Cost answers, reference_layers;   ///< of a step that answers problems: their writing, and what they are compared with
  double attention_operations = 0;  ///< of both models' attention, in a step; their time is in the layers'
  double evaluation_seconds = 0;    ///< one pass over the held-out text
  double calibration_seconds = 0;
  double search_seconds = 0;  ///< of number formats, all of it

  [[nodiscard]] Cost step() const {
    return answers + teacher_layers + reference_layers + student_layers + head + optimizer;
  }
};

[[nodiscard]] TimePlan plan_time(const PlanSubject& subject);

/// Tokens of a step, on average over the first steps.
[[nodiscard]] double tokens_per_step(const PlanSubject& subject);

}  // namespace qad
