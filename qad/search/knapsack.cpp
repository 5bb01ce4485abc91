#include "qad/search/knapsack.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace qad {
namespace {

// Of the groups from one on, one choice each: `option` in that one, and the state of the groups behind it.
struct State {
  std::int64_t cost = 0;
  double score = 0;
  std::size_t option = 0, next = 0;
};
using Front = std::vector<State>;  // costs rise, scores fall

// A step along the lower hull of a group's options: what it adds in cost and takes off the score.
struct Step {
  std::size_t group, to;
  std::int64_t cost;
  double gain;
  [[nodiscard]] double rate() const { return gain / static_cast<double>(cost); }
};

std::size_t cheapest(const KnapsackGroup& group) {
  const auto less = [](const KnapsackOption& a, const KnapsackOption& b) {
    return std::tie(a.cost, a.score) < std::tie(b.cost, b.score);
  };
  return static_cast<std::size_t>(std::ranges::min_element(group, less) - group.begin());
}

void add_hull(std::size_t group, const KnapsackGroup& options, std::vector<Step>& steps) {
  for (std::size_t at = cheapest(options);;) {
    Step best{group, at, 0, 0};
    for (std::size_t to = 0; to < options.size(); ++to) {
      const Step step{group, to, options[to].cost - options[at].cost, options[at].score - options[to].score};
      if (step.cost > 0 && step.gain > 0 && (best.cost == 0 || step.rate() > best.rate())) best = step;
    }
    if (best.cost == 0) return;
    steps.push_back(best);
    at = best.to;
  }
}

// A good choice, and the price of a unit of cost where the relaxed problem meets the budget.
struct Relaxation {
  std::vector<std::size_t> choice;
  double price = 0;
};
Relaxation relax(std::span<const KnapsackGroup> groups, std::int64_t left) {
  Relaxation result;
  std::vector<Step> steps;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    result.choice.push_back(cheapest(groups[i]));
    left -= groups[i][result.choice.back()].cost;
    add_hull(i, groups[i], steps);
  }
  std::ranges::stable_sort(steps, [](const Step& a, const Step& b) { return a.rate() > b.rate(); });
  std::vector<bool> is_full(groups.size());
  for (const Step& step : steps) {
    if (is_full[step.group]) continue;
    if (step.cost > left) {
      if (result.price == 0) result.price = step.rate();
      is_full[step.group] = true;
      continue;
    }
    left -= step.cost;
    result.choice[step.group] = step.to;
  }
  return result;
}

double score_of(std::span<const KnapsackGroup> groups, const std::vector<std::size_t>& choice) {
  double score = 0;
  for (std::size_t i = groups.size(); i-- > 0;) score = groups[i][choice[i]].score + score;
  return score;
}

// What the groups before one take at least.
struct Before {
  std::int64_t cost = 0;
  double relaxed = 0;  // score + price · cost
};
std::vector<Before> before_each(std::span<const KnapsackGroup> groups, double price) {
  std::vector<Before> before(groups.size() + 1);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    double least = INFINITY;
    for (const KnapsackOption& option : groups[i])
      least = std::min(least, option.score + price * static_cast<double>(option.cost));
    before[i + 1] = {before[i].cost + groups[i][cheapest(groups[i])].cost, before[i].relaxed + least};
  }
  return before;
}

void keep_front(Front& states) {
  std::ranges::sort(states, [](const State& a, const State& b) {
    return std::tie(a.cost, a.score, a.option) < std::tie(b.cost, b.score, b.option);
  });
  double best = INFINITY;
  std::erase_if(states, [&](const State& state) {
    if (state.score >= best) return true;
    best = state.score;
    return false;
  });
}

}  // namespace

std::optional<std::vector<std::size_t>> solve_knapsack(std::span<const KnapsackGroup> groups, std::int64_t budget) {
  const Relaxation relaxed = relax(groups, budget);
  const std::vector<Before> before = before_each(groups, relaxed.price);
  if (before.back().cost > budget) return std::nullopt;
  double magnitude = 0;
  for (const KnapsackGroup& group : groups)
    for (const KnapsackOption& option : group) magnitude += std::abs(option.score);
  // Sums in another order differ by far less.
  const double worst = score_of(groups, relaxed.choice) + 1e-9 * magnitude;

  std::vector<Front> fronts(groups.size() + 1);
  fronts.back().push_back({});
  for (std::size_t i = groups.size(); i-- > 0;) {
    Front& front = fronts[i];
    for (std::size_t option = 0; option < groups[i].size(); ++option)
      for (std::size_t next = 0; next < fronts[i + 1].size(); ++next) {
        const State& behind = fronts[i + 1][next];
        const State state{groups[i][option].cost + behind.cost, groups[i][option].score + behind.score, option, next};
        if (state.cost + before[i].cost > budget) break;
        const double bound = state.score + before[i].relaxed - relaxed.price * static_cast<double>(budget - state.cost);
        if (bound <= worst) front.push_back(state);
      }
    keep_front(front);
  }
  std::vector<std::size_t> choice;
  std::size_t at = fronts.front().size() - 1;  // the least score
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const State& state = fronts[i][at];
    choice.push_back(state.option);
    at = state.next;
  }
  return choice;
}

}  // namespace qad
