// The recipe's `checkpoint` section.
#pragma once

#include "autograd/core/fields.h"

namespace qad {

struct CheckpointConfig {
  std::int64_t every = 100;
  std::int64_t keep = 2;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"every", "steps between checkpoints; 0: only at the start and at the end"}.at_least(0), every);
    visit(Field{"keep", "how many of the last checkpoints stay; the best one stays besides"}.at_least(1), keep);
  }
};

}  // namespace qad
