// Tensors that have a shape and no values, for models of which only the shapes are looked at.
#pragma once

#include "autograd/core/tensor.h"

namespace qad {

/// FP32, at addresses that nobody may touch and that take no memory, however large. All of them lie in the same place.
[[nodiscard]] Tensor unread_values(const Shape& shape);

}  // namespace qad
