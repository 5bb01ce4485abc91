// The gated feed-forward layer: down(silu(gate(x))·up(x)).
#pragma once

#include "autograd/nn/linear.h"

namespace qad {

struct FeedForward {
  LinearGroup gate_up;  ///< members gate, up
  LinearGroup down;

  [[nodiscard]] Variable operator()(const Variable& x) const;
};

}  // namespace qad
