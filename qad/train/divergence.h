// When a run has diverged, though all its numbers are finite: a documented rule, so that such a run ends with a message
// and not with exports.
//
// A student that guesses every token alike has a cross-entropy of ln(vocabulary) and a KL to its teacher of at most
// that. A run has diverged
//   - at an evaluation whose selection score (evaluator.h) is above 1.5·ln(vocabulary) and 1.5 times that of the
//     student before training;
//   - or after kStepsInARow steps in a row whose training loss (kl or cross_entropy at temperature 1 and nothing
//     beside, the kinds that are nats a token) is above the same limit;
//   - or when it has to skip train.max_skipped_steps steps in a row, or all steps, because loss or gradient were not
//     finite.
#pragma once

#include <cstdint>
#include <string>

#include "qad/loss/loss_config.h"

namespace qad {

class DivergenceRule {
 public:
  static constexpr std::int64_t kStepsInARow = 20;

  DivergenceRule(const LossConfig& loss, std::int64_t vocabulary);

  /// `score` of an evaluation, `before` that of the untrained student. What is wrong, or nothing.
  [[nodiscard]] std::string at_evaluation(double score, double before) const;
  /// Whether a step's training loss is beyond the limit.
  [[nodiscard]] bool is_beyond(double training_loss, double before) const;
  [[nodiscard]] std::string after_steps(double training_loss, double before) const;

 private:
  [[nodiscard]] double limit(double before) const;

  bool loss_is_in_nats_;
  double guessing_;  ///< ln(vocabulary)
};

}  // namespace qad
