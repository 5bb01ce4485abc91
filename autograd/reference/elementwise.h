// Elementwise kernels and whole-buffer reductions, the definition.
#pragma once

#include <cmath>
#include <cstdint>

#include "autograd/reference/scalar.h"

namespace qad::reference {

template <class T>
void add(std::int64_t size, const T* a, const T* b, T* out) {
  for (std::int64_t i = 0; i < size; ++i) out[i] = a[i] + b[i];
}

/// y += x
template <class T>
void accumulate(std::int64_t size, const T* x, T* y) {
  for (std::int64_t i = 0; i < size; ++i) y[i] += x[i];
}

/// x[r, c] += bias[c]
template <class T>
void add_bias(std::int64_t rows, std::int64_t cols, const T* bias, T* x) {
  for (std::int64_t i = 0; i < rows * cols; ++i) x[i] += bias[i % cols];
}

/// out[c] += Σ_r x[r, c]
template <class T>
void accumulate_column_sums(std::int64_t rows, std::int64_t cols, const T* x, T* out) {
  for (std::int64_t i = 0; i < rows * cols; ++i) out[i % cols] += x[i];
}

template <class T>
T sum_of_squares(std::int64_t size, const T* x) {
  T sum(0);
  for (std::int64_t i = 0; i < size; ++i) sum += x[i] * x[i];
  return sum;
}

/// σ(z) = 1 / (1 + e^-z), for large negative z as e^z / (1 + e^z), so that nothing overflows.
template <class T>
T sigmoid(T z) {
  using std::exp;
  return real_part(z) >= 0 ? T(1) / (T(1) + exp(-z)) : exp(z) / (T(1) + exp(z));
}

/// out = silu(gate)·up, silu(z) = z·σ(z)
template <class T>
void swiglu_forward(std::int64_t size, const T* gate, const T* up, T* out) {
  for (std::int64_t i = 0; i < size; ++i) out[i] = gate[i] * sigmoid(gate[i]) * up[i];
}

/// d_gate = d_out·up·silu'(gate), silu'(z) = σ(z)·(1 + z·(1 - σ(z)));  d_up = d_out·silu(gate)
template <class T>
void swiglu_backward(std::int64_t size, const T* gate, const T* up, const T* d_out, T* d_gate, T* d_up) {
  for (std::int64_t i = 0; i < size; ++i) {
    const T s = sigmoid(gate[i]);
    d_gate[i] = d_out[i] * up[i] * s * (T(1) + gate[i] * (T(1) - s));
    d_up[i] = d_out[i] * gate[i] * s;
  }
}

/// out = max(x, 0)²
template <class T>
void squared_relu_forward(std::int64_t size, const T* x, T* out) {
  for (std::int64_t i = 0; i < size; ++i) out[i] = real_part(x[i]) < 0 ? T(0) : x[i] * x[i];
}
template <class T>
void squared_relu_backward(std::int64_t size, const T* x, const T* d_out, T* dx) {
  for (std::int64_t i = 0; i < size; ++i) dx[i] = real_part(x[i]) < 0 ? T(0) : T(2) * x[i] * d_out[i];
}

/// out = x·σ(gate)
template <class T>
void sigmoid_gated_forward(std::int64_t size, const T* x, const T* gate, T* out) {
  for (std::int64_t i = 0; i < size; ++i) out[i] = x[i] * sigmoid(gate[i]);
}
/// dx = d_out·σ(gate),  d_gate = d_out·x·σ(gate)·(1 - σ(gate))
template <class T>
void sigmoid_gated_backward(std::int64_t size, const T* x, const T* gate, const T* d_out, T* dx, T* d_gate) {
  for (std::int64_t i = 0; i < size; ++i) {
    const T s = sigmoid(gate[i]);
    dx[i] = d_out[i] * s;
    d_gate[i] = d_out[i] * x[i] * s * (T(1) - s);
  }
}

}  // namespace qad::reference
