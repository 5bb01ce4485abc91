// The multiple-choice knapsack: of each group one option, the least sum of scores within a budget of costs. Solved
// exactly: fronts of sums that no other beats in both, less those that a linear relaxation rules out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace qad {

struct KnapsackOption {
  std::int64_t cost = 0;  ///< not negative
  double score = 0;       ///< finite
};
using KnapsackGroup = std::vector<KnapsackOption>;

/// The option of each group, each group having one at least. Of equal scores, added up from the last group to the
/// first, the least cost counts; of equal costs, the first group that differs takes its earlier option. Nothing if the
/// cheapest options exceed the budget.
[[nodiscard]] std::optional<std::vector<std::size_t>> solve_knapsack(std::span<const KnapsackGroup> groups,
                                                                     std::int64_t budget);

}  // namespace qad
