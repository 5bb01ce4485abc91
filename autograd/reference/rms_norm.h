// Root-mean-square normalisation, the definition.
#pragma once

#include <cmath>
#include <cstdint>

namespace qad::reference {

/// r = 1 / sqrt(mean(x²) + ε),  y = x·r·weight, for each row.
template <class T>
void rms_norm_forward(std::int64_t rows, std::int64_t cols, double epsilon, const T* x, const T* weight, T* y,
                      T* inverse_rms) {
  using std::sqrt;
  for (std::int64_t row = 0; row < rows; ++row, x += cols, y += cols) {
    T sum(0);
    for (std::int64_t c = 0; c < cols; ++c) sum += x[c] * x[c];
    inverse_rms[row] = T(1) / sqrt(sum / static_cast<T>(static_cast<double>(cols)) + static_cast<T>(epsilon));
    for (std::int64_t c = 0; c < cols; ++c) y[c] = x[c] * inverse_rms[row] * weight[c];
  }
}

/// With g = dy·weight:  dx = r·g - x·r³·mean(g·x),  d_weight += Σ_rows dy·x·r.
template <class T>
void rms_norm_backward(std::int64_t rows, std::int64_t cols, const T* x, const T* weight, const T* inverse_rms,
                       const T* dy, T* dx, T* d_weight) {
  for (std::int64_t row = 0; row < rows; ++row, x += cols, dy += cols, dx += cols) {
    const T r = inverse_rms[row];
    T sum(0);
    for (std::int64_t c = 0; c < cols; ++c) sum += dy[c] * weight[c] * x[c];
    const T mean = sum / static_cast<T>(static_cast<double>(cols));
    for (std::int64_t c = 0; c < cols; ++c) {
      dx[c] = r * dy[c] * weight[c] - x[c] * r * r * r * mean;
      if (d_weight != nullptr) d_weight[c] += dy[c] * x[c] * r;
    }
  }
}

}  // namespace qad::reference
