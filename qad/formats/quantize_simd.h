// The fast quantizers: NVFP4, MXFP4, and FP8 with a tensor scale. Highway chooses the instruction set at run time. Each
// gives the bits of qad::reference for every finite input, in any floating-point mode (flush to zero or not).
#pragma once

#include <cstdint>

namespace qad::simd {

/// The bits of the largest |x|; at least 0x7f800000 if any value is infinite or NaN.
[[nodiscard]] std::uint32_t amax_bits(const float* x, std::int64_t count);

/// One row in NVFP4: cols/2 bytes of codes, cols/16 of scales, and `values`, which may be null. Returns amax_bits() of
/// the row. `stream` writes the values past the caches; they must then be aligned to 64 bytes.
std::uint32_t quantize_nvfp4_row(const float* x, std::int64_t cols, float tensor_scale, std::uint8_t* codes,
                                 std::uint8_t* scales, float* values, bool stream);
void dequantize_nvfp4_row(const std::uint8_t* codes, const std::uint8_t* scales, std::int64_t cols, float tensor_scale,
                          float* out);

/// The same in MXFP4: cols/32 bytes of scales.
std::uint32_t quantize_mxfp4_row(const float* x, std::int64_t cols, std::uint8_t* codes, std::uint8_t* scales,
                                 float* values, bool stream);
void dequantize_mxfp4_row(const std::uint8_t* codes, const std::uint8_t* scales, std::int64_t cols, float* out);

/// Any number of values in E4M3 under one scale, a byte each; `values` may be null.
void quantize_fp8(const float* x, std::int64_t count, float tensor_scale, std::uint8_t* codes, float* values);

/// The upper 16 bits of each float: its BF16 where that is exact.
void upper_halves(const float* x, std::int64_t count, std::uint16_t* out);

}  // namespace qad::simd
