#include "models/decode/choose_token.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace qad {

std::int32_t choose_token(std::span<const float> logits, const GenerateConfig& config, Random& random) {
  const auto greedy = static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin());
  if (config.temperature == 0.0) return greedy;
  thread_local std::vector<std::int32_t> candidates;  // kept between calls, as the weights
  thread_local std::vector<double> weights;
  candidates.resize(logits.size());
  std::iota(candidates.begin(), candidates.end(), 0);
  const auto logit = [&](std::int32_t id) { return static_cast<double>(logits[static_cast<std::size_t>(id)]); };
  const bool truncated = config.top_k > 0 || config.top_p < 1.0;
  if (truncated)
    std::ranges::stable_sort(candidates, [&](std::int32_t a, std::int32_t b) { return logit(a) > logit(b); });
  if (config.top_k > 0 && config.top_k < static_cast<std::int64_t>(candidates.size()))
    candidates.resize(static_cast<std::size_t>(config.top_k));

  weights.clear();
  double total = 0;
  for (const std::int32_t id : candidates)
    total += weights.emplace_back(std::exp((logit(id) - logit(greedy)) / config.temperature));
  if (config.top_p < 1.0) {
    double kept = 0;
    std::size_t count = 0;
    while (count < candidates.size() && kept < config.top_p * total) kept += weights[count++];
    candidates.resize(std::max<std::size_t>(count, 1));
    total = kept;
  }
  double left = random.uniform() * total;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    left -= weights[i];
    if (left < 0) return candidates[i];
  }
  return greedy;
}

}  // namespace qad
