// What quantization means, one row and one value at a time, for every number format. The fast versions must agree with
// this bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "qad/formats/block_format.h"

namespace qad::reference {

/// Of one row of `cols` values: the scale codes of its blocks, block_scale(amax); `scales` has their bytes.
void choose_row_scales(const BlockFormat& format, float tensor_scale, const float* x, std::int64_t cols,
                       std::byte* scales);
/// Codes under scales that were chosen; `values` may be null. With s = block scale · tensor scale, a value's code is
/// the nearest to x / s by true division, its sign bit is x < 0 (so -0 has code 0, and a negative value that rounds to
/// zero stands for -0).
void code_row(const BlockFormat& format, float tensor_scale, const float* x, std::int64_t cols, const std::byte* scales,
              std::uint8_t* codes, float* values);
/// Both.
void quantize_row(const BlockFormat& format, float tensor_scale, const float* x, std::int64_t cols, std::uint8_t* codes,
                  std::byte* scales, float* values);
void dequantize_row(const BlockFormat& format, float tensor_scale, const std::uint8_t* codes, const std::byte* scales,
                    std::int64_t cols, float* out);

}  // namespace qad::reference
