// Causal attention of one segment, the definition: every score exists.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "autograd/reference/softmax.h"

namespace qad::reference {

/// q, out [queries, heads·dim]; k, v [keys, kv_heads·dim]; log_sum_exp [queries, heads]. Query i sees the keys
/// j < keys - (queries - 1 - i), of which a window > 0 leaves the last `window`.
struct AttentionExtents {
  std::int64_t queries, keys, heads, kv_heads, dim, window;
  double scale;

  [[nodiscard]] std::int64_t last(std::int64_t query) const { return keys - (queries - 1 - query); }
  [[nodiscard]] std::int64_t first(std::int64_t query) const {
    return window > 0 ? std::max<std::int64_t>(0, last(query) - window) : 0;
  }
  [[nodiscard]] std::int64_t q_at(std::int64_t query, std::int64_t head) const { return (query * heads + head) * dim; }
  [[nodiscard]] std::int64_t kv_at(std::int64_t key, std::int64_t head) const {
    return (key * kv_heads + head / (heads / kv_heads)) * dim;
  }
};

template <class T>
T dot(std::int64_t size, const T* a, const T* b) {
  T sum(0);
  for (std::int64_t i = 0; i < size; ++i) sum += a[i] * b[i];
  return sum;
}

/// S_ij = scale·q_i·k_j over the keys that i sees,  P = softmax(S),  out_i = Σ_j P_ij·v_j.
template <class T>
void attention_forward(const AttentionExtents& e, const T* q, const T* k, const T* v, T* out, T* log_sum_exp_of) {
  using std::exp;
  for (std::int64_t i = 0; i < e.queries; ++i)
    for (std::int64_t head = 0; head < e.heads; ++head) {
      std::vector<T> scores;
      for (std::int64_t j = e.first(i); j < e.last(i); ++j)
        scores.push_back(static_cast<T>(e.scale) * dot(e.dim, q + e.q_at(i, head), k + e.kv_at(j, head)));
      const T total = log_sum_exp(static_cast<std::int64_t>(scores.size()), scores.data());
      log_sum_exp_of[i * e.heads + head] = total;
      T* o = out + e.q_at(i, head);
      std::fill_n(o, e.dim, T(0));
      for (std::int64_t j = e.first(i); j < e.last(i); ++j) {
        const T p = exp(scores[static_cast<std::size_t>(j - e.first(i))] - total);
        for (std::int64_t d = 0; d < e.dim; ++d) o[d] += p * v[e.kv_at(j, head) + d];
      }
    }
}

/// dv_j = Σ_i P_ij·do_i,  dP_ij = do_i·v_j,  dS_ij = P_ij·(dP_ij - do_i·out_i),
/// dq_i = scale·Σ_j dS_ij·k_j,  dk_j = scale·Σ_i dS_ij·q_i.  All three overwrite.
template <class T>
void attention_backward(const AttentionExtents& e, const T* q, const T* k, const T* v, const T* out,
                        const T* log_sum_exp_of, const T* d_out, T* dq, T* dk, T* dv) {
  using std::exp;
  std::fill_n(dq, e.queries * e.heads * e.dim, T(0));
  std::fill_n(dk, e.keys * e.kv_heads * e.dim, T(0));
  std::fill_n(dv, e.keys * e.kv_heads * e.dim, T(0));
  const T scale = static_cast<T>(e.scale);
  for (std::int64_t i = 0; i < e.queries; ++i)
    for (std::int64_t head = 0; head < e.heads; ++head) {
      const std::int64_t at_q = e.q_at(i, head);
      const T delta = dot(e.dim, d_out + at_q, out + at_q);
      for (std::int64_t j = e.first(i); j < e.last(i); ++j) {
        const std::int64_t at_k = e.kv_at(j, head);
        const T p = exp(scale * dot(e.dim, q + at_q, k + at_k) - log_sum_exp_of[i * e.heads + head]);
        const T ds = p * (dot(e.dim, d_out + at_q, v + at_k) - delta);
        for (std::int64_t d = 0; d < e.dim; ++d) {
          dv[at_k + d] += p * d_out[at_q + d];
          dq[at_q + d] += scale * ds * k[at_k + d];
          dk[at_k + d] += scale * ds * q[at_q + d];
        }
      }
    }
}

}  // namespace qad::reference
