#include "autograd/nn/parameter.h"

#include "autograd/base/error.h"

namespace qad {

ParameterPointer make_parameter(std::string name, Tensor value, bool trained) {
  QAD_ASSERT(!trained || value.dtype() == DType::f32);
  Variable variable = trained ? Variable::leaf(std::move(value)) : Variable(std::move(value));
  return std::make_shared<Parameter>(std::move(name), std::move(variable));
}

ParameterPointer make_parameter(std::string name, std::shared_ptr<const Operand> kept) {
  auto parameter = std::make_shared<Parameter>(std::move(name), Variable());
  parameter->kept = std::move(kept);
  return parameter;
}

}  // namespace qad
