#include "autograd/nn/feed_forward.h"

#include "autograd/ops/elementwise.h"

namespace qad {

Variable FeedForward::operator()(const Variable& x) const {
  const std::vector<Variable> projected = gate_up(x);
  return down(swiglu(projected[0], projected[1]))[0];
}

}  // namespace qad
