#include "autograd/nn/linear.h"

namespace qad {

Variable Linear::operator()(const Variable& x) const {
  return linear(x, weight->operand(), bias ? bias->operand() : ParameterOperand());
}

Variable LinearGroup::input(const Variable& x, std::span<const Linear* const> read_by) const {
  if (input_slot == nullptr) return x;
  std::vector<std::shared_ptr<const Operand>> readers;
  if (read_by.empty())
    for (const Linear& member : members) readers.push_back(member.weight->operand().result.operand);
  for (const Linear* member : read_by) readers.push_back(member->weight->operand().result.operand);
  return transformed(x, input_slot, readers);
}

std::vector<Variable> LinearGroup::operator()(const Variable& x) const {
  const Variable read = input(x);
  std::vector<Variable> outputs;
  outputs.reserve(members.size());
  for (const Linear& member : members) outputs.push_back(member(read));
  return outputs;
}

}  // namespace qad
