#include "autograd/nn/linear.h"

#include <algorithm>

namespace qad {

Variable Linear::operator()(const Variable& x) const {
  return linear(x, weight->operand(), bias ? bias->operand() : ParameterOperand());
}

std::vector<Variable> LinearGroup::operator()(const Variable& x) const {
  const bool exact_in_bf16 = input_slot != nullptr && std::ranges::all_of(members, [](const Linear& member) {
                               return member.weight->operand().values().exact_in_bf16();
                             });
  const Variable input = transformed(x, input_slot, exact_in_bf16);
  std::vector<Variable> outputs;
  outputs.reserve(members.size());
  for (const Linear& member : members) outputs.push_back(member(input));
  return outputs;
}

}  // namespace qad
