// A short convolution along sequences, each channel by itself, and silu: y[t, c] = silu(bias[c] + Σ_j weight[c, j]·
// x[t - K + 1 + j, c]). A result depends on its own rows alone, so neither chunks nor neighbours change its bits.
#pragma once

#include <cstdint>
#include <span>

#include "autograd/kernels/sequence_rows.h"

namespace qad::kernels {

struct ConvolutionShape {
  std::span<const SequenceRows> sequences;  ///< state: [taps - 1, channels], the last rows of x
  std::int64_t channels, taps;
  std::int64_t x_stride;  ///< from row to row of x and dx
};

/// What one row of results is made of. Its first taps read rows before the batch, if there are any, else zeros.
struct TapRows {
  const float* before;  ///< the row of the first tap, or null
  const float* x;       ///< the row of the last tap
  std::int64_t x_stride, channels, taps;
  std::int64_t first_in_x;  ///< the first tap that reads x

  [[nodiscard]] const float* x_of(std::int64_t tap) const { return x - (taps - 1 - tap) * x_stride; }
};

/// weight [channels, taps], bias [channels] or null; y [rows, channels].
void causal_convolution_forward(const ConvolutionShape& shape, const float* x, const float* weight, const float* bias,
                                float* y);
/// From sequences that begin in the batch. dz [rows, channels] becomes the gradient before silu and may be dy itself.
/// dx, d_weight and d_bias accumulate, and may be null.
void causal_convolution_backward(const ConvolutionShape& shape, const float* x, const float* weight, const float* bias,
                                 const float* dy, float* dz, float* dx, float* d_weight, float* d_bias);

}  // namespace qad::kernels
