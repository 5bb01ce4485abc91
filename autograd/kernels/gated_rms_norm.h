// Root-mean-square normalisation of groups of columns with a gate before or after it. f is silu or the sigmoid, and
// with r = 1/sqrt(mean(v²) + epsilon) over a group:
//     before: v = x·f(gate), y = v·r·weight;   after: v = x, y = v·r·weight·f(gate)
#pragma once

#include <cstdint>

namespace qad::kernels {

struct GatedNormShape {
  std::int64_t rows, cols;
  std::int64_t group, weights;  ///< both divide cols; column c has weight c mod `weights`
  float epsilon;
  bool silu, gate_first;
  std::int64_t gate_stride;  ///< from row to row of gate and d_gate
};

/// x, y [rows, cols]; inverse_rms [rows, cols/group] is kept for backward.
void gated_rms_norm_forward(const GatedNormShape& shape, const float* x, const float* gate, const float* weight,
                            float* y, float* inverse_rms);
/// dx overwrites, and may be dy itself; d_gate and d_weight accumulate (the latter over fixed chunks of rows), and may
/// be null.
void gated_rms_norm_backward(const GatedNormShape& shape, const float* x, const float* gate, const float* weight,
                             const float* inverse_rms, const float* dy, float* dx, float* d_gate, float* d_weight);

}  // namespace qad::kernels
