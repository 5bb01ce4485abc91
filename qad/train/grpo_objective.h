// The objective of GRPO (Shao et al., "DeepSeekMath", arXiv:2402.03300), token by token:
//
//   L = -1/N Σ_t [ min(r_t A_t, clip(r_t, 1-low, 1+high) A_t) - β (e^{d_t} - d_t - 1) ]
//   r_t = e^{cur_t - old_t},  d_t = ref_t - cur_t
//
// cur, old, ref: log-probability of the token under the model as it is, as it was when it wrote the answer, and under
// the one that the run started from; the term with β is Schulman's estimate (k3) of the KL to the latter. A_t is the
// advantage of the token's answer. N counts the tokens of the whole update, so a long answer weighs as much as its
// tokens, and no answer's length divides its gradient (Yu et al., "DAPO", arXiv:2503.14476, from which the two clip
// limits are too).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/text/batch.h"
#include "qad/train/grpo_config.h"

namespace qad {

/// How much better each answer of a group is than the group: (reward - mean)/deviation. All zero when all are alike:
/// such a group has nothing to say.
[[nodiscard]] std::vector<double> group_advantages(std::span<const double> rewards);

struct GrpoTerm {
  double loss;    ///< what the token adds to N·L
  double weight;  ///< -d(loss)/d(cur): L depends on the model through cur alone, so cross-entropies (-cur) with these
                  ///< weights have its gradient
};
[[nodiscard]] GrpoTerm grpo_term(const GrpoConfig& config, double advantage, double current, double old,
                                 double reference);

/// Answers of one forward, and what the objective needs of each of their tokens.
struct GrpoBatch {
  TokenBatch tokens;
  std::vector<double> advantage, old, reference;  ///< [tokens]; only read where there is a label

  /// Calls visit(t) for every token with a label.
  template <class Visit>
  void each_label(Visit&& visit) const {
    for (std::size_t t = 0; t < tokens.labels.size(); ++t)
      if (tokens.labels[t] != kNoLabel) visit(t);
  }
};

struct GrpoGradient {
  double loss = 0;             ///< this batch's part of L
  std::vector<float> weights;  ///< [tokens]: of the cross-entropies whose gradient is that of the part
};
/// `current` [tokens]: log-probabilities under the model as it is; `step_tokens`: N.
[[nodiscard]] GrpoGradient grpo_gradient(const GrpoConfig& config, const GrpoBatch& batch,
                                         const std::vector<double>& current, std::int64_t step_tokens);

/// k3 of one token: at least 0, its mean over the model's own samples is the KL to the reference.
[[nodiscard]] double kl_estimate(double current, double reference);

}  // namespace qad
