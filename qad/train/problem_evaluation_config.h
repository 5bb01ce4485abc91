// The recipe's `evaluate.problems` section.
#pragma once

#include <cstdint>
#include <vector>

#include "autograd/base/fields.h"
#include "data/tasks/problems.h"

namespace qad {

struct ProblemEvaluationConfig {
  ProblemSplit split = ProblemSplit::test;
  std::vector<ProblemFamily> families{};
  std::int64_t count = 500;
  std::int64_t first = 0;
  std::int64_t seed = 1;
  std::int64_t samples = 4;
  double temperature = 0.6;
  std::int64_t max_new_tokens = 80;
  std::int64_t batch = 256;

  friend bool operator==(const ProblemEvaluationConfig&, const ProblemEvaluationConfig&) = default;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"split", "train, validation or test: they share no question"}, split);
    visit(Field{"families", "arithmetic, word_problems, symbols, programs; empty: all"}, families);
    visit(Field{"count", "problems of each family"}.at_least(1), count);
    visit(Field{"first", "index of the first one"}.at_least(0), first);
    visit(Field{"seed", "of the problems and of what is sampled"}.at_least(0), seed);
    visit(Field{"samples", "answers to each problem that are sampled, beside the greedy one"}.at_least(0), samples);
    visit(Field{"temperature", "of those"}.above(0), temperature);
    visit(Field{"max_new_tokens", "an answer that has no end by then is cut, and wrong"}.at_least(1), max_new_tokens);
    visit(Field{"batch", "answers that are written side by side"}.at_least(1), batch);
  }
};

}  // namespace qad
