#include "autograd/tape/parameter_operand.h"

#include "autograd/base/error.h"

namespace qad {

ParameterOperand::ParameterOperand(const Variable& source) : ParameterOperand(source, 1, nullptr) {}

ParameterOperand::ParameterOperand(const Variable& source, std::uint64_t version, const TransformSlot& slot)
    : parameter(source) {
  if (!source.value().defined()) return;
  result = slot != nullptr ? slot->apply(parameter.value(), version)
                           : TransformResult{operand_of(parameter.value()), parameter.value(), {}};
  // The sink of a stand-in leaf keeps nodes for what the slot learns; what it gathers itself is for nobody.
  if (result.learns && !parameter.needs_gradient()) parameter = Variable::leaf(parameter.value());
}

ParameterOperand::ParameterOperand(std::shared_ptr<const Operand> values) { result.operand = std::move(values); }

void ParameterOperand::add_gradient(const std::function<void(const Tensor& gradient, bool fresh)>& add) const {
  QAD_ASSERT(needs_gradient());
  if (!result.backward) {
    const auto [target, fresh] = parameter.sink()->buffer(parameter.shape());
    add(target, fresh);
    return;
  }
  const Tensor gradient(parameter.shape());
  add(gradient, true);
  result.backward(gradient);
  parameter.sink()->give(gradient);
}

void ParameterOperand::accumulate_gradient(const std::function<void(const Tensor& gradient)>& accumulate) const {
  add_gradient([&](const Tensor& gradient, bool fresh) {
    if (fresh) gradient.fill(0.0f);
    accumulate(gradient);
  });
}

void ParameterOperand::accumulate_if_needed(const std::function<void(float* gradient)>& accumulate) const {
  if (needs_gradient()) accumulate_gradient([&](const Tensor& gradient) { accumulate(gradient.data()); });
  else accumulate(nullptr);
}

}  // namespace qad
