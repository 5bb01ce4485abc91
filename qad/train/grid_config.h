// The recipe's keys of what else moves weights that are quantized, beside the gradient (grid_moves.h).
#pragma once

#include <cstdint>

#include "autograd/base/fields.h"

namespace qad {

struct PullToGridConfig {
  double strength = 0;
  double begins = 0.75;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"strength",
                "of the pull at the last step: a weight moves by the learning rate times this towards the value that "
                "it is rounded to; 0: none"}
              .changeable()
              .at_least(0),
          strength);
    visit(Field{"begins", "share of the steps without it; it rises from there to its strength"}
              .changeable()
              .at_least(0)
              .below(1),
          begins);
  }
};

struct OscillationResetConfig {
  std::int64_t window = 0;
  double ratio = 4;
  double begins = 0.65;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"window", "steps over which the ways of a weight and of its rounded value are added up; 0: none"}
              .at_least(0),
          window);
    visit(Field{"ratio",
                "a weight whose rounded value went so many times as far as itself is set to that value at the end of "
                "a window"}
              .above(1),
          ratio);
    visit(Field{"begins", "share of the steps before the first window"}.at_least(0).below(1), begins);
  }
};

}  // namespace qad
