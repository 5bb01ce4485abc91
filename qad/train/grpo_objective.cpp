#include "qad/train/grpo_objective.h"

#include <algorithm>
#include <cmath>

namespace qad {

std::vector<double> group_advantages(std::span<const double> rewards) {
  std::vector<double> advantages(rewards.size(), 0.0);
  if (std::ranges::adjacent_find(rewards, std::ranges::not_equal_to()) == rewards.end()) return advantages;
  const auto count = static_cast<double>(rewards.size());
  double mean = 0, variance = 0;
  for (const double reward : rewards) mean += reward / count;
  for (const double reward : rewards) variance += (reward - mean) * (reward - mean) / count;
  constexpr double kEpsilon = 1e-4;  // keeps a spread that hardly is one small
  std::ranges::transform(rewards, advantages.begin(),
                         [&](double reward) { return (reward - mean) / (std::sqrt(variance) + kEpsilon); });
  return advantages;
}

double kl_estimate(double current, double reference) { return std::expm1(reference - current) - (reference - current); }

GrpoTerm grpo_term(const GrpoConfig& config, double advantage, double current, double old, double reference) {
  const double ratio = std::exp(current - old);
  const double clipped = std::clamp(ratio, 1.0 - config.clip_low, 1.0 + config.clip_high);
  const bool is_clipped = ratio * advantage > clipped * advantage;
  const double loss =
      -std::min(ratio * advantage, clipped * advantage) + config.kl_weight * kl_estimate(current, reference);
  const double weight = (is_clipped ? 0.0 : ratio * advantage) + config.kl_weight * std::expm1(reference - current);
  return {loss, weight};
}

GrpoGradient grpo_gradient(const GrpoConfig& config, const GrpoBatch& batch, const std::vector<double>& current,
                           std::int64_t step_tokens) {
  GrpoGradient gradient{0, std::vector<float>(batch.tokens.ids.size(), 0.0f)};
  const auto count = static_cast<double>(step_tokens);
  batch.each_label([&](std::size_t t) {
    const GrpoTerm term = grpo_term(config, batch.advantage[t], current[t], batch.old[t], batch.reference[t]);
    gradient.loss += term.loss / count;
    gradient.weights[t] = static_cast<float>(term.weight / count);
  });
  return gradient;
}

}  // namespace qad
