// The recurrence of Mamba-2 for one sequence, the definition.
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <vector>

#include "autograd/reference/elementwise.h"

namespace qad::reference {

struct Scan {
  std::int64_t tokens, heads, head_dim, groups, state;
  double step_low, step_high;

  [[nodiscard]] std::int64_t width() const { return heads * head_dim + 2 * groups * state; }
  // Columns of xBC.
  [[nodiscard]] std::int64_t b(std::int64_t head) const { return heads * head_dim + head / (heads / groups) * state; }
  [[nodiscard]] std::int64_t c(std::int64_t head) const { return b(head) + groups * state; }
};

/// Δ = clamp(softplus(dt + dt_bias)),  l = -exp(A_log)·Δ,  S[n, p] <- exp(l)·S[n, p] + B[n]·Δ·x[p],
/// y[p] = Σ_n C[n]·S[n, p] + D·x[p].   xBC [tokens, width], dt [tokens, heads], S [heads, state, head_dim] in and out;
/// `visit(token, S)` sees every state.
template <class T, class Visit>
void state_space_scan_forward(const Scan& s, const T* xBC, const T* dt, const T* A_log, const T* D, const T* dt_bias,
                              T* S, T* y, Visit&& visit) {
  using std::exp;
  for (std::int64_t t = 0; t < s.tokens; ++t, xBC += s.width()) {
    for (std::int64_t h = 0; h < s.heads; ++h) {
      T step = softplus(dt[t * s.heads + h] + dt_bias[h]);
      if (real_part(step) < s.step_low) step = T(s.step_low);
      if (real_part(step) > s.step_high) step = T(s.step_high);
      const T decay = exp(-exp(A_log[h]) * step);
      for (std::int64_t p = 0; p < s.head_dim; ++p) {
        const T x = xBC[h * s.head_dim + p];
        T sum = D[h] * x;
        for (std::int64_t n = 0; n < s.state; ++n) {
          T& state = S[(h * s.state + n) * s.head_dim + p];
          state = decay * state + xBC[s.b(h) + n] * step * x;
          sum += xBC[s.c(h) + n] * state;
        }
        y[(t * s.heads + h) * s.head_dim + p] = sum;
      }
    }
    visit(t, S);
  }
}

/// Gradients of a sequence that begins with S = 0; all accumulate. With dS' = exp(l)·dS + C·dyᵀ of the token:
/// dx = D·dy + Δ·Bᵀ·dS',  dB = dS'·Δx,  dC = S·dy,  dl = exp(l)·⟨dS', S before⟩,  dΔ = ⟨Bᵀ·dS', x⟩ - exp(A_log)·dl.
template <class T>
void state_space_scan_backward(const Scan& s, const T* xBC, const T* dt, const T* A_log, const T* D, const T* dt_bias,
                               const T* dy, T* dxBC, T* d_dt, T* dA_log, T* dD, T* d_dt_bias) {
  using std::exp;
  const std::int64_t size = s.heads * s.state * s.head_dim;
  std::vector<T> states(static_cast<std::size_t>((s.tokens + 1) * size)), S(static_cast<std::size_t>(size));
  std::vector<T> y(static_cast<std::size_t>(s.tokens * s.heads * s.head_dim)), dS(static_cast<std::size_t>(size));
  state_space_scan_forward(s, xBC, dt, A_log, D, dt_bias, S.data(), y.data(), [&](std::int64_t t, const T* now) {
    std::copy_n(now, size, states.data() + (t + 1) * size);
  });
  for (std::int64_t t = s.tokens - 1; t >= 0; --t)
    for (std::int64_t h = 0; h < s.heads; ++h) {
      const T* row = xBC + t * s.width();
      T* d_row = dxBC + t * s.width();
      const T before = dt[t * s.heads + h] + dt_bias[h], soft = softplus(before);
      const bool below = real_part(soft)<s.step_low, above = real_part(soft)> s.step_high;
      const T step = below ? T(s.step_low) : above ? T(s.step_high) : soft;
      const T rate = exp(A_log[h]), decay = exp(-rate * step);
      T dl(0), d_step(0);
      for (std::int64_t p = 0; p < s.head_dim; ++p) {
        const T x = row[h * s.head_dim + p], g = dy[(t * s.heads + h) * s.head_dim + p];
        dD[h] += g * x;
        T du(0);
        for (std::int64_t n = 0; n < s.state; ++n) {
          const std::int64_t at = (h * s.state + n) * s.head_dim + p;
          dS[static_cast<std::size_t>(at)] += row[s.c(h) + n] * g;
          const T d = dS[static_cast<std::size_t>(at)];
          d_row[s.c(h) + n] += states[static_cast<std::size_t>((t + 1) * size + at)] * g;
          d_row[s.b(h) + n] += d * step * x;
          du += d * row[s.b(h) + n];
          dl += d * decay * states[static_cast<std::size_t>(t * size + at)];
          dS[static_cast<std::size_t>(at)] = d * decay;
        }
        d_row[h * s.head_dim + p] += D[h] * g + du * step;
        d_step += du * x;
      }
      dA_log[h] -= dl * rate * step;
      d_step -= dl * rate;
      const T d = below || above ? T(0) : d_step * (real_part(before) > 20 ? T(1) : sigmoid(before));
      d_dt[t * s.heads + h] += d;
      d_dt_bias[h] += d;
    }
}

}  // namespace qad::reference
