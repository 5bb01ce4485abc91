// The short convolution of one sequence, the definition.
#pragma once

#include <cstdint>

#include "autograd/reference/elementwise.h"

namespace qad::reference {

/// z[t, c] = bias[c] + Σ_j weight[c, j]·x[t - K + 1 + j, c] without what is before the sequence,  y = z·σ(z).
template <class T>
void causal_convolution_forward(std::int64_t rows, std::int64_t channels, std::int64_t taps, const T* x,
                                const T* weight, const T* bias, T* z, T* y) {
  for (std::int64_t t = 0; t < rows; ++t)
    for (std::int64_t c = 0; c < channels; ++c) {
      T sum = bias != nullptr ? bias[c] : T(0);
      for (std::int64_t j = 0; j < taps; ++j)
        if (const std::int64_t from = t - taps + 1 + j; from >= 0) sum += weight[c * taps + j] * x[from * channels + c];
      z[t * channels + c] = sum;
      y[t * channels + c] = sum * sigmoid(sum);
    }
}

/// dz = dy·silu'(z),  dx[t] += Σ_j weight[j]·dz[t + K - 1 - j],  d_weight[j] += Σ_t dz[t]·x[t - K + 1 + j],
/// d_bias += Σ_t dz[t] (if not null).
template <class T>
void causal_convolution_backward(std::int64_t rows, std::int64_t channels, std::int64_t taps, const T* x,
                                 const T* weight, const T* z, const T* dy, T* dx, T* d_weight, T* d_bias) {
  for (std::int64_t t = 0; t < rows; ++t)
    for (std::int64_t c = 0; c < channels; ++c) {
      const T v = z[t * channels + c], s = sigmoid(v);
      const T dz = dy[t * channels + c] * s * (T(1) + v * (T(1) - s));
      if (d_bias != nullptr) d_bias[c] += dz;
      for (std::int64_t j = 0; j < taps; ++j)
        if (const std::int64_t from = t - taps + 1 + j; from >= 0) {
          dx[from * channels + c] += weight[c * taps + j] * dz;
          d_weight[c * taps + j] += dz * x[from * channels + c];
        }
    }
}

}  // namespace qad::reference
