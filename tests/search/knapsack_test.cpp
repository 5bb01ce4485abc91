// The exact solver, held against trying everything.
#include "qad/search/knapsack.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "autograd/base/random.h"

namespace qad {
namespace {

struct Sums {
  std::int64_t cost = 0;
  double score = 0;
};
Sums sums_of(const std::vector<KnapsackGroup>& groups, const std::vector<std::size_t>& choice) {
  Sums sums;
  for (std::size_t i = groups.size(); i-- > 0;) {
    sums.cost += groups[i][choice[i]].cost;
    sums.score = groups[i][choice[i]].score + sums.score;
  }
  return sums;
}

// The first of the best ones in the order of their options.
std::optional<std::vector<std::size_t>> brute_force(const std::vector<KnapsackGroup>& groups, std::int64_t budget) {
  std::optional<std::vector<std::size_t>> best;
  Sums least{0, std::numeric_limits<double>::infinity()};
  std::vector<std::size_t> choice(groups.size());
  for (;;) {
    const Sums sums = sums_of(groups, choice);
    const bool is_better = sums.score < least.score || (sums.score == least.score && sums.cost < least.cost);
    if (sums.cost <= budget && (!best || is_better)) best = choice, least = sums;
    std::size_t i = groups.size();
    while (i > 0 && ++choice[i - 1] == groups[i - 1].size()) choice[--i] = 0;
    if (i == 0) return best;
  }
}

std::uint64_t draw(std::uint64_t trial, std::uint64_t place, std::uint64_t below) {
  return random_bits(trial, 7, place) % below;
}

TEST(Knapsack, AgreesWithTryingEverything) {
  int feasible = 0;
  for (std::uint64_t trial = 0; trial < 3000; ++trial) {
    // Few values give ties, many give none; scores may fall and rise with cost, and be negative.
    const std::uint64_t costs = trial % 3 == 0 ? 5 : 1000, scores = trial % 2 == 0 ? 4 : 100000;
    std::vector<KnapsackGroup> groups(6);
    std::uint64_t place = 0;
    std::int64_t most = 0;
    for (KnapsackGroup& group : groups) {
      for (std::uint64_t option = 0; option < 1 + draw(trial, place, 4); ++option) {
        group.push_back({static_cast<std::int64_t>(draw(trial, ++place, costs)),
                         (static_cast<double>(draw(trial, ++place, scores)) - 1) / 64});
        most += group.back().cost;
      }
      ++place;
    }
    const auto budget = static_cast<std::int64_t>(draw(trial, 999, static_cast<std::uint64_t>(most / 2 + 1)));
    const auto expected = brute_force(groups, budget), found = solve_knapsack(groups, budget);
    ASSERT_EQ(found.has_value(), expected.has_value()) << trial;
    if (!found) continue;
    ++feasible;
    EXPECT_EQ(*found, *expected) << trial;
    EXPECT_LE(sums_of(groups, *found).cost, budget) << trial;
  }
  EXPECT_GT(feasible, 1000);
}

TEST(Knapsack, MoreBudgetNeverCostsScore) {
  std::vector<KnapsackGroup> groups;
  for (std::uint64_t i = 0; i < 200; ++i) {  // as many as a large model has, all of other sizes
    const auto size = static_cast<std::int64_t>(1000 + draw(1, i, 100000));
    const double score = std::exp(static_cast<double>(draw(2, i, 1000)) / 100);
    groups.push_back({{size * 9 / 2 + 64, score}, {size * 8 + 64, score / 20}, {size * 16, 0}});
  }
  std::int64_t least = 0, dense = 0;
  for (const KnapsackGroup& group : groups) least += group[0].cost, dense += group[2].cost;
  double before = std::numeric_limits<double>::infinity();
  for (std::int64_t budget = least; budget <= dense; budget += (dense - least) / 40) {
    const auto found = solve_knapsack(groups, budget);
    ASSERT_TRUE(found);
    const Sums sums = sums_of(groups, *found);
    EXPECT_LE(sums.cost, budget);
    EXPECT_LE(sums.score, before);
    before = sums.score;
  }
  EXPECT_FALSE(solve_knapsack(groups, least - 1));
  EXPECT_EQ(solve_knapsack(groups, least), std::vector<std::size_t>(200, 0));
  EXPECT_EQ(solve_knapsack(groups, dense), std::vector<std::size_t>(200, 2));
}

TEST(Knapsack, TiesGoToTheFirstGroupsEarlierOption) {
  const std::vector<KnapsackGroup> same(3, {{1, 2}, {2, 1}});
  EXPECT_EQ(solve_knapsack(same, 4), (std::vector<std::size_t>{0, 0, 1}));
  EXPECT_EQ(solve_knapsack(std::vector<KnapsackGroup>{}, 0), std::vector<std::size_t>{});
}

}  // namespace
}  // namespace qad
