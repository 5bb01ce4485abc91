// Root-mean-square normalisation with a gate, the definition.
#pragma once

#include <cmath>
#include <cstdint>

#include "autograd/reference/elementwise.h"

namespace qad::reference {

/// Sizes as kernels::GatedNormShape has them; x, gate, y [rows, cols].
struct GatedNorm {
  std::int64_t rows, cols, group, weights;
  double epsilon;
  bool silu, gate_first;

  template <class T>
  T gate(T z) const {
    return silu ? z * sigmoid(z) : sigmoid(z);
  }
  template <class T>
  T slope(T z) const {
    const T s = sigmoid(z);
    return silu ? s * (T(1) + z * (T(1) - s)) : s * (T(1) - s);
  }
};

/// y = v·r·weight·b with v = x·a, r = 1/sqrt(mean(v²) + ε) over a group; a is f(gate) where the gate is first, b where
/// it is last, else 1.
template <class T>
void gated_rms_norm_forward(const GatedNorm& n, const T* x, const T* gate, const T* weight, T* y, T* inverse_rms) {
  using std::sqrt;
  for (std::int64_t first = 0, g = 0; first < n.rows * n.cols; first += n.group, ++g) {
    T sum(0);
    for (std::int64_t i = first; i < first + n.group; ++i) {
      const T v = n.gate_first ? x[i] * n.gate(gate[i]) : x[i];
      sum += v * v;
    }
    inverse_rms[g] = T(1) / sqrt(sum / static_cast<T>(static_cast<double>(n.group)) + static_cast<T>(n.epsilon));
    for (std::int64_t i = first; i < first + n.group; ++i)
      y[i] = x[i] * n.gate(gate[i]) * inverse_rms[g] * weight[i % n.cols % n.weights];
  }
}

/// With h = dy·weight·b:  dv = r·h - v·r³·mean(h·v),  dx = dv·a,  d_gate += f'(gate)·(dv·x, or dy·weight·v·r),
/// d_weight += Σ dy·v·r·b.
template <class T>
void gated_rms_norm_backward(const GatedNorm& n, const T* x, const T* gate, const T* weight, const T* inverse_rms,
                             const T* dy, T* dx, T* d_gate, T* d_weight) {
  for (std::int64_t first = 0, g = 0; first < n.rows * n.cols; first += n.group, ++g) {
    const T r = inverse_rms[g];
    T sum(0);
    for (std::int64_t i = first; i < first + n.group; ++i)  // h·v is the same wherever the gate is
      sum += dy[i] * weight[i % n.cols % n.weights] * x[i] * n.gate(gate[i]);
    const T mean = sum / static_cast<T>(static_cast<double>(n.group));
    for (std::int64_t i = first; i < first + n.group; ++i) {
      const T f = n.gate(gate[i]), w = weight[i % n.cols % n.weights];
      if (n.gate_first) {
        const T dv = r * dy[i] * w - x[i] * f * r * r * r * mean;
        dx[i] = dv * f;
        d_gate[i] += dv * x[i] * n.slope(gate[i]);
      } else {
        dx[i] = r * dy[i] * w * f - x[i] * r * r * r * mean;
        d_gate[i] += dy[i] * w * x[i] * r * n.slope(gate[i]);
      }
      d_weight[i % n.cols % n.weights] += dy[i] * x[i] * f * r;
    }
  }
}

}  // namespace qad::reference
