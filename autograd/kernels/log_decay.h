// The logarithm of how much a recurrence keeps of its state: l = -exp(A_log)·softplus(g + dt_bias).
#pragma once

#include <cstdint>

namespace qad::kernels {

/// g [rows, cols] with `stride` from row to row, dt_bias [cols], A_log [heads], of which each serves cols/heads columns
/// side by side; l [rows, cols].
struct LogDecayInput {
  std::int64_t rows, cols, heads;
  const float* g;
  std::int64_t stride;
  const float *A_log, *dt_bias;
};

void log_decay_forward(const LogDecayInput& x, float* l);

/// All of them add; any may be null. Sums over rows go in fixed chunks.
struct LogDecayGradients {
  float* g;  ///< with the input's stride
  float *A_log, *dt_bias;
};
void log_decay_backward(const LogDecayInput& x, const float* l, const float* dl, const LogDecayGradients& gradients);

}  // namespace qad::kernels
