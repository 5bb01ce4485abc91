// The linear map and the slots that stand before it.
#pragma once

#include "autograd/tape/parameter_operand.h"

namespace qad {

/// What passes through a slot: transform(x), or x itself when the slot is empty. x is [rows, cols]. The value is FP32;
/// where its `readers` are known, the weights of all layers that will multiply it, it may be BF16 or, if they multiply
/// codes, no tensor at all.
[[nodiscard]] Variable transformed(const Variable& x, const TransformSlot& slot, Readers readers = {});

/// dweight += dᵀ·x: d [rows, out], x [rows, in], both gradient_factors (tape/gradient_products.h).
void accumulate_weight_gradient(const ParameterOperand& weight, const Tensor& d, const Tensor& x);

/// y = x·weightᵀ + bias: x [rows, in] in whatever form, weight [out, in], bias [out] or none.
///   dx = dy·weight,  dweight += dyᵀ·x,  dbias += column sums of dy
[[nodiscard]] Variable linear(const Variable& x, const ParameterOperand& weight, const ParameterOperand& bias);

}  // namespace qad
