// The fast quantizers: NVFP4, MXFP4, and FP8 with a tensor scale. Highway chooses the instruction set at run time. Each
// gives the bits of qad::reference for every finite input, in any floating-point mode (flush to zero or not).
#pragma once

#include <cstdint>

namespace qad::simd {

/// The bits of the largest |x|; at least 0x7f800000 if any value is infinite or NaN.
[[nodiscard]] std::uint32_t amax_bits(const float* x, std::int64_t count);

/// Quantizes a row to codes and block scales, and to `values`, which may be null. Returns amax_bits() of the row.
/// `stream` may write the values past the caches; they must then be aligned to 64 bytes.
using QuantizeRow = std::uint32_t(const float* x, std::int64_t cols, float tensor_scale, std::uint8_t* codes,
                                  std::uint8_t* scales, float* values, bool stream);
using DequantizeRow = void(const std::uint8_t* codes, const std::uint8_t* scales, std::int64_t cols, float tensor_scale,
                           float* out);

/// The fast functions of a number format, in its row of the table; null where the reference serves.
struct RowFunctions {
  QuantizeRow* quantize = nullptr;
  DequantizeRow* dequantize = nullptr;
};

/// NVFP4: cols/2 bytes of codes, cols/16 of scales.
QuantizeRow quantize_nvfp4_row;
DequantizeRow dequantize_nvfp4_row;
/// MXFP4: cols/2 bytes of codes, cols/32 of scales. It has no tensor scale and reads none.
QuantizeRow quantize_mxfp4_row;
DequantizeRow dequantize_mxfp4_row;
/// E4M3 under the tensor scale alone, a byte each: no `scales`, and nothing is streamed.
QuantizeRow quantize_fp8_row;

/// The upper 16 bits of each float: its BF16 where that is exact.
void upper_halves(const float* x, std::int64_t count, std::uint16_t* out);

}  // namespace qad::simd
