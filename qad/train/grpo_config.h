// The recipe's `grpo` section: reinforcement learning with rewards that a program gives.
#pragma once

#include <cstdint>
#include <vector>

#include "autograd/base/fields.h"
#include "data/tasks/problems.h"

namespace qad {

struct GrpoConfig {
  std::vector<ProblemFamily> families{};
  std::int64_t first = 0;
  std::int64_t seed = 1;
  std::int64_t prompts = 32;
  std::int64_t group_size = 8;
  double temperature = 1.0;
  std::int64_t max_new_tokens = 80;
  double reward_wrong = 0.0;
  double reward_cut = 0.0;
  double kl_weight = 0.02;
  double clip_low = 0.2;
  double clip_high = 0.28;
  std::int64_t mini_batches = 1;
  std::int64_t epochs = 1;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"families", "problems of the train split, the families in turn; empty: all"}, families);
    visit(Field{"first", "index of the first problem"}.at_least(0), first);
    visit(Field{"seed", "of the problems"}.at_least(0), seed);
    visit(Field{"prompts", "problems a step"}.at_least(1), prompts);
    visit(Field{"group_size", "answers to each, compared with one another"}.at_least(2), group_size);
    visit(Field{"temperature",
                "of the sampling; away from 1 answers are not quite the model's own, which the ratio "
                "takes them for"}
              .above(0),
          temperature);
    visit(Field{"max_new_tokens", "longest answer"}.at_least(1), max_new_tokens);
    visit(Field{"reward_wrong", "of an answer that ended and is wrong; a right one has 1"}.at_most(1), reward_wrong);
    visit(Field{"reward_cut", "of an answer that was cut at max_new_tokens, whatever it says"}.at_most(1), reward_cut);
    visit(Field{"kl_weight", "of the KL to the model that the run started from"}.at_least(0), kl_weight);
    visit(Field{"clip_low", "a probability counts as lowered by this share at most"}.above(0).at_most(1), clip_low);
    visit(Field{"clip_high", "a probability counts as raised by this share at most"}.above(0), clip_high);
    visit(Field{"mini_batches", "optimizer updates from the answers of a step, each on its own groups"}.at_least(1),
          mini_batches);
    visit(Field{"epochs", "how often a step learns from its answers"}.at_least(1), epochs);
  }
};

}  // namespace qad
