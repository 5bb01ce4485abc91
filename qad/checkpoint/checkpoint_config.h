// When a run saves, and how much of it stays.
#pragma once

#include <cstdint>

#include "autograd/base/fields.h"

namespace qad {

struct CheckpointConfig {
  std::int64_t every = 100;
  std::int64_t keep = 2;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"every", "steps between checkpoints; 0: only at the beginning and the end"}.changeable().at_least(0),
          every);
    visit(Field{"keep", "how many of the newest stay, beside the best"}.changeable().at_least(1), keep);
  }
};

}  // namespace qad
