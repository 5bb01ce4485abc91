// Choosing block scales otherwise than by the largest magnitude of a block. quantize.h codes with scales that were
// chosen.
#pragma once

#include <vector>

#include "autograd/core/tensor.h"
#include "qad/formats/quantized_tensor.h"

namespace qad {

/// Block scales of x [rows, cols], row-major, that make the squared error of its values least under a tensor scale:
/// of every block all codes of the format's scale element that can are tried, from the scale of the amax on, which is
/// kept where no other is better. [rows, blocks a row] as in QuantizedTensor. Only for formats whose scales are codes
/// of 8 bits (scales_can_be_searched).
[[nodiscard]] Tensor scales_of_least_error(const BlockFormat& format, const float* x, std::int64_t rows,
                                           std::int64_t cols, float tensor_scale);
[[nodiscard]] bool scales_can_be_searched(const BlockFormat& format);

/// What the inputs of a layer say about errors of its weights, by blocks of these: sums over inputs x, which the layer
/// reads as xq.
struct BlockMoments {
  std::vector<double> second;    ///< Σ xq·xqᵀ, [blocks a row, block, block]
  std::vector<double> coupling;  ///< Σ xq·(xq - x)ᵀ, the same; empty where xq is x
};
/// The same for the least error of the layer's outputs as far as a block alone decides it: with d what rounding adds to
/// the block w, Σ (xq·(w + d) - x·w)² - Σ (xq·w - x·w)² = dᵀ·second·d + 2·dᵀ·coupling·w. All codes are tried; the scale
/// of the amax is kept where no other is better, the smallest of others that are equally good is taken.
[[nodiscard]] Tensor scales_of_least_output_error(const BlockFormat& format, const float* w, std::int64_t rows,
                                                  std::int64_t cols, float tensor_scale, const BlockMoments& moments);

/// The largest magnitude of a block of finite values.
[[nodiscard]] float block_amax(const float* x, std::int64_t count);

/// What each value of a row is divided by before it is coded, [cols]: block scale · tensor scale.
void divisors_of_row(const QuantizedTensor& tensor, std::int64_t row, float* out);

}  // namespace qad
