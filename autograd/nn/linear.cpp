#include "autograd/nn/linear.h"

namespace qad {

Variable Linear::operator()(const Variable& x) const {
  return linear(x, weight->operand(), bias ? bias->operand() : ParameterOperand());
}

std::vector<Variable> LinearGroup::operator()(const Variable& x) const {
  const Variable input = transformed(x, input_transform);
  std::vector<Variable> outputs;
  outputs.reserve(members.size());
  for (const Linear& member : members) outputs.push_back(member(input));
  return outputs;
}

}  // namespace qad
