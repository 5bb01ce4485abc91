// The gradient of block scales that are not constants. With F = block scale · tensor scale, M the largest value of the
// element and y = F·q(x/F), rounding being passed straight through, dy/dF is q - x/F in range and ±M beyond it.
#pragma once

#include "qad/formats/quantized_tensor.h"

namespace qad {

/// What of a forward this takes, 2.25 bytes a value for blocks of 16.
struct ScaleResiduals {
  float largest = 0;  ///< M
  Tensor dy_df;       ///< [rows, cols] in BF16; ±M says beyond the range, since in range it is far less
  /// [rows, blocks], FP32: 1 + the place in its block of the amax (the first, of equal ones), with its sign. 0: the
  /// scale does not follow the amax, which is 0 or beyond what a scale can follow.
  Tensor peaks;
};

/// Of x [codes.rows, codes.cols], row-major, and what quantize() made of it; the format must have block scales.
[[nodiscard]] ScaleResiduals scale_residuals(const float* x, const QuantizedTensor& codes);

/// Turns the gradient of y into that of x, in place, where F follows the amax of its block, rounding passed straight
/// through: F = amax/M. In range dx = dy, beyond it 0, and the element of the amax also receives sign(x)/M · Σ dy·dy/dF
/// over its block. y grows with x as x grows, so Σ dy·y = Σ dx·x but for the rounding of the scale.
void pass_through_scale(const ScaleResiduals& residuals, const Tensor& gradient);

/// Where F is a number of its own: Σ dy·dy/dF over each block, [rows, blocks]. With `clip` dx is 0 beyond the range,
/// and dy as it is without.
[[nodiscard]] Tensor through_scales(const ScaleResiduals& residuals, const Tensor& gradient, bool clip);
/// Σ d·q over each block, [rows, blocks].
[[nodiscard]] Tensor sums_of_codes(const QuantizedTensor& codes, const Tensor& d);
/// F of each block, [rows, blocks]: reads block scales and tensor scale alone.
[[nodiscard]] Tensor block_scale_values(const QuantizedTensor& codes);

}  // namespace qad
