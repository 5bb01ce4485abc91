// The linear map and the slots that stand before it.
#pragma once

#include "autograd/tape/operand_transform.h"
#include "autograd/tape/variable.h"

namespace qad {

/// What passes through a slot: transform(x), or x itself when the slot is empty. x is [rows, cols].
[[nodiscard]] Variable transformed(const Variable& x, const TransformSlot& slot);

/// A weight as the product sees it: the parameter's own values, or what its slot makes of them.
struct WeightOperand {
  const Variable& weight;  ///< [out, in]
  TransformResult result;
};
[[nodiscard]] WeightOperand weight_operand(const Variable& weight, std::uint64_t version, const TransformSlot& slot);
/// dweight += dᵀ·x through the slot's backward: d [rows, out], x [rows, in].
void accumulate_weight_gradient(const WeightOperand& operand, const Tensor& d, const Tensor& x);

/// y = x·weightᵀ + bias: x [rows, in], weight [out, in], bias [out] or an undefined constant.
///   dx = dy·weight,  dweight += dyᵀ·x,  dbias += column sums of dy
[[nodiscard]] Variable linear(const Variable& x, const Variable& weight, std::uint64_t version,
                              const TransformSlot& weight_slot, const Variable& bias);

}  // namespace qad
