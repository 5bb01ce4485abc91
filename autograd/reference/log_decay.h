// The logarithm of how much a recurrence keeps, the definition.
#pragma once

#include <cmath>
#include <cstdint>

#include "autograd/reference/elementwise.h"

namespace qad::reference {

/// l = -exp(A_log)·softplus(g + dt_bias). g, l [rows, cols], dt_bias [cols], A_log [heads].
template <class T>
void log_decay_forward(std::int64_t rows, std::int64_t cols, std::int64_t heads, const T* g, const T* A_log,
                       const T* dt_bias, T* l) {
  using std::exp;
  for (std::int64_t i = 0; i < rows * cols; ++i) {
    const std::int64_t c = i % cols;
    l[i] = -exp(A_log[c / (cols / heads)]) * softplus(g[i] + dt_bias[c]);
  }
}

/// dg = -dl·exp(A_log)·σ(g + dt_bias) (1 for σ above 20),  d_dt_bias = Σ_rows dg,  dA_log = Σ dl·l. All three add.
template <class T>
void log_decay_backward(std::int64_t rows, std::int64_t cols, std::int64_t heads, const T* g, const T* A_log,
                        const T* dt_bias, const T* dl, T* dg, T* dA_log, T* d_dt_bias) {
  using std::exp;
  for (std::int64_t i = 0; i < rows * cols; ++i) {
    const std::int64_t c = i % cols, head = c / (cols / heads);
    const T x = g[i] + dt_bias[c], rate = -exp(A_log[head]);
    const T d = dl[i] * rate * (real_part(x) > 20 ? T(1) : sigmoid(x));
    dg[i] += d;
    d_dt_bias[c] += d;
    dA_log[head] += dl[i] * rate * softplus(x);
  }
}

}  // namespace qad::reference
