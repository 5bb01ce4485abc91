// The feed-forward layer: down(silu(gate(x))·up(x)), or without a gate down(relu(up(x))²).
#pragma once

#include "autograd/nn/linear.h"

namespace qad {

struct FeedForward {
  LinearGroup gate_up;  ///< members gate, up; or up alone
  LinearGroup down;

  [[nodiscard]] Variable operator()(const Variable& x) const;
};

}  // namespace qad
