// Root-mean-square normalisation of rows (Zhang and Sennrich, 2019): y = x / sqrt(mean(x²) + epsilon) · weight.
#pragma once

#include <cstdint>

namespace qad::kernels {

/// x, y [rows, cols]; weight [cols]; inverse_rms [rows] is kept for backward.
void rms_norm_forward(std::int64_t rows, std::int64_t cols, float epsilon, const float* x, const float* weight,
                      float* y, float* inverse_rms);
/// dx overwrites; d_weight accumulates over fixed chunks of rows and may be null.
void rms_norm_backward(std::int64_t rows, std::int64_t cols, const float* x, const float* weight,
                       const float* inverse_rms, const float* dy, float* dx, float* d_weight);

}  // namespace qad::kernels
