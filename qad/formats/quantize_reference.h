// What quantization means, one row and one value at a time, for every number format. The fast versions must agree with
// this bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "qad/formats/block_format.h"

namespace qad::reference {

/// One row of `cols` values. `scales` has the bytes of blocks_per_row(cols) scale codes; `values` may be null.
///
/// A block's scale s is block_scale(amax) · tensor scale; a value's code is the nearest to x / s by true division, its
/// sign bit is x < 0 (so -0 has code 0, and a negative value that rounds to zero decodes to -0).
void quantize_row(const BlockFormat& format, float tensor_scale, const float* x, std::int64_t cols, std::uint8_t* codes,
                  std::byte* scales, float* values);
void dequantize_row(const BlockFormat& format, float tensor_scale, const std::uint8_t* codes, const std::byte* scales,
                    std::int64_t cols, float* out);

}  // namespace qad::reference
