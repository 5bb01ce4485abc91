#include "models/block.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/rms_norm.h"

namespace qad {

void visit(LinearGroup& group, ModuleVisitor& visitor) {
  visitor.group(group);
  for (const Linear& member : group.members) {
    visitor.parameter(member.weight);
    if (member.bias != nullptr) visitor.parameter(member.bias);
  }
}

Variable Block::operator()(const Variable& x_TC, const ForwardPlan& plan, const State* state) const {
  Variable h_TC = x_TC;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const auto& [norm, epsilon, layer, offset] = parts_[i];
    LayerState* const remembered = state != nullptr ? (*state)[i].get() : nullptr;
    h_TC = add(h_TC, (*layer)(rms_norm(h_TC, norm->operand(), epsilon, offset), plan, remembered));
  }
  return h_TC;
}

void Block::visit(ModuleVisitor& visitor) const {
  for (const Residual& part : parts_) {
    visitor.parameter(part.norm);
    visitor.kind(part.layer->kind());
    part.layer->visit(visitor);
  }
}

Block::State Block::make_state(std::int64_t slots, std::int64_t capacity) const {
  State state;
  for (const Residual& part : parts_) state.push_back(part.layer->make_state(slots, capacity));
  return state;
}

}  // namespace qad
