#include "autograd/nn/feed_forward.h"

#include "autograd/ops/elementwise.h"

namespace qad {

Variable FeedForward::operator()(const Variable& x) const {
  const std::vector<Variable> projected = gate_up(x);
  return down(projected.size() == 2 ? swiglu(projected[0], projected[1]) : squared_relu(projected[0]))[0];
}

}  // namespace qad
