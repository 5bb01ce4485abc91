// Choosing block scales otherwise than by the largest magnitude of a block. quantize.h codes with scales that were
// chosen.
#pragma once

#include "autograd/core/tensor.h"
#include "qad/formats/block_format.h"

namespace qad {

/// Block scales of x [rows, cols], row-major, that make the squared error of its values least under a tensor scale:
/// of every block all codes of the format's scale element that can are tried, from the scale of the amax on, which is
/// kept where no other is better. [rows, blocks a row] as in QuantizedTensor. Only for formats whose scales are codes
/// of 8 bits (scales_can_be_searched).
[[nodiscard]] Tensor scales_of_least_error(const BlockFormat& format, const float* x, std::int64_t rows,
                                           std::int64_t cols, float tensor_scale);
[[nodiscard]] bool scales_can_be_searched(const BlockFormat& format);

}  // namespace qad
