// The linear map and the slots that stand before it.
#pragma once

#include "autograd/tape/parameter_operand.h"

namespace qad {

/// What passes through a slot: transform(x), or x itself when the slot is empty. x is [rows, cols]. The value is FP32,
/// or, where `bf16_serves` (each product that reads it is with a weight that is exact in BF16) and the transform's
/// values are exact in BF16 too, that.
[[nodiscard]] Variable transformed(const Variable& x, const TransformSlot& slot, bool bf16_serves = false);

/// dweight += dᵀ·x: d [rows, out], x [rows, in].
void accumulate_weight_gradient(const ParameterOperand& weight, const Tensor& d, const Tensor& x);

/// y = x·weightᵀ + bias: x [rows, in] in FP32 or BF16, weight [out, in], bias [out] or none.
///   dx = dy·weight,  dweight += dyᵀ·x,  dbias += column sums of dy
[[nodiscard]] Variable linear(const Variable& x, const ParameterOperand& weight, const ParameterOperand& bias);

}  // namespace qad
