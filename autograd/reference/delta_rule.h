// The gated delta rule and Kimi Delta Attention of one sequence, the definition: token after token.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "autograd/reference/log_decay.h"

namespace qad::reference {

/// q, k [tokens, key_heads·key_dim], v and o [tokens, value_heads·value_dim], beta [tokens, value_heads], decay
/// [tokens, value_heads] or, by channel, [tokens, value_heads·key_dim].
struct DeltaRuleExtents {
  std::int64_t tokens, key_heads, value_heads, key_dim, value_dim;
  bool by_channel;

  [[nodiscard]] std::int64_t decay_width() const { return by_channel ? key_dim : 1; }
  [[nodiscard]] std::int64_t qk_at(std::int64_t token, std::int64_t head) const {
    return (token * key_heads + head / (value_heads / key_heads)) * key_dim;
  }
  [[nodiscard]] std::int64_t v_at(std::int64_t token, std::int64_t head) const {
    return (token * value_heads + head) * value_dim;
  }
  [[nodiscard]] std::int64_t decay_at(std::int64_t token, std::int64_t head, std::int64_t channel) const {
    return (token * value_heads + head) * decay_width() + (by_channel ? channel : 0);
  }
};

/// r = 1 / sqrt(Σx² + 1e-6).
template <class T>
T inverse_length(std::int64_t size, const T* x) {
  using std::sqrt;
  T sum(1e-6);
  for (std::int64_t c = 0; c < size; ++c) sum += x[c] * x[c];
  return T(1) / sqrt(sum);
}

/// dx += factor·r·(dy - x·r²·⟨x, dy⟩), of y = factor·r·x.
template <class T>
void unit_length_backward(std::int64_t size, const T& factor, const T* x, const std::vector<T>& dy, T* dx) {
  const T r = inverse_length(size, x);
  T product(0);
  for (std::int64_t c = 0; c < size; ++c) product += x[c] * dy[static_cast<std::size_t>(c)];
  for (std::int64_t c = 0; c < size; ++c)
    dx[c] += factor * r * (dy[static_cast<std::size_t>(c)] - x[c] * r * r * product);
}

/// What one token of one head works with: S' and S lie in [dk, dv] each.
template <class T>
struct DeltaRuleToken {
  T beta;
  std::vector<T> q, k, error, decayed, state;

  /// S' = exp(l)·S,  e = v - S'ᵀk^,  S = S' + σ(beta)·k^·eᵀ from the S of the token before.
  DeltaRuleToken(const DeltaRuleExtents& e, std::int64_t token, std::int64_t head, const T* q_of, const T* k_of,
                 const T* v_of, const T* decay, const T* beta_of, const T* before)
      : beta(sigmoid(beta_of[token * e.value_heads + head])),
        q(q_of + e.qk_at(token, head), q_of + e.qk_at(token, head) + e.key_dim),
        k(k_of + e.qk_at(token, head), k_of + e.qk_at(token, head) + e.key_dim),
        error(v_of + e.v_at(token, head), v_of + e.v_at(token, head) + e.value_dim),
        decayed(before, before + e.key_dim * e.value_dim) {
    using std::exp;
    const T q_factor = q_scale(e) * inverse_length(e.key_dim, q.data()), k_factor = inverse_length(e.key_dim, k.data());
    for (T& value : q) value *= q_factor;
    for (T& value : k) value *= k_factor;
    for (std::size_t i = 0; i < decayed.size(); ++i) {
      const auto c = static_cast<std::int64_t>(i) / e.value_dim;
      decayed[i] *= exp(decay[e.decay_at(token, head, c)]);
    }
    for (std::size_t i = 0; i < decayed.size(); ++i) error[i % error.size()] -= decayed[i] * k[i / error.size()];
    state = decayed;
    for (std::size_t i = 0; i < state.size(); ++i) state[i] += beta * k[i / error.size()] * error[i % error.size()];
  }

  static T q_scale(const DeltaRuleExtents& e) { return T(1 / std::sqrt(static_cast<double>(e.key_dim))); }
};

/// `states` [value_heads, dk, dv]: from before the first token, then those after the last.
template <class T>
void delta_rule_forward(const DeltaRuleExtents& e, const T* q, const T* k, const T* v, const T* decay, const T* beta,
                        T* states, T* out) {
  for (std::int64_t head = 0; head < e.value_heads; ++head) {
    T* state = states + head * e.key_dim * e.value_dim;
    for (std::int64_t t = 0; t < e.tokens; ++t) {
      const DeltaRuleToken<T> token(e, t, head, q, k, v, decay, beta, state);
      std::copy(token.state.begin(), token.state.end(), state);
      T* o = out + e.v_at(t, head);
      std::fill_n(o, e.value_dim, T(0));
      for (std::size_t i = 0; i < token.state.size(); ++i)
        o[i % token.error.size()] += token.state[i] * token.q[i / token.error.size()];
    }
  }
}

/// From S = 0. With dS of the tokens that follow, in order:
///   dq^ = S·do,  dS += q^·doᵀ,  de = σ(beta)·dSᵀk^,  dσ(beta) = k^ᵀ·dS·e,  dv = de,  dS' = dS - k^·deᵀ,
///   dk^ = σ(beta)·dS·e - S'·de,  dl = rowsum(dS'∘S') (the sum of all where decay is by head),  dS = exp(l)·dS'.
/// All gradients add.
template <class T>
void delta_rule_backward(const DeltaRuleExtents& e, const T* q, const T* k, const T* v, const T* decay, const T* beta,
                         const T* d_out, T* dq, T* dk, T* dv, T* d_decay, T* d_beta) {
  using std::exp;
  const auto key_dim = static_cast<std::size_t>(e.key_dim), value_dim = static_cast<std::size_t>(e.value_dim);
  for (std::int64_t head = 0; head < e.value_heads; ++head) {
    std::vector<T> state(key_dim * value_dim), ds(key_dim * value_dim);
    std::vector<DeltaRuleToken<T>> tokens;
    for (std::int64_t t = 0; t < e.tokens; ++t) {
      tokens.emplace_back(e, t, head, q, k, v, decay, beta, state.data());
      state = tokens.back().state;
    }
    for (std::int64_t t = e.tokens - 1; t >= 0; --t) {
      const DeltaRuleToken<T>& token = tokens[static_cast<std::size_t>(t)];
      const T* d_o = d_out + e.v_at(t, head);
      std::vector<T> dq_unit(key_dim), dk_unit(key_dim), d_error(value_dim);
      T d_sigmoid(0);
      for (std::size_t c = 0; c < key_dim; ++c)
        for (std::size_t d = 0; d < value_dim; ++d) {
          const std::size_t i = c * value_dim + d;
          dq_unit[c] += token.state[i] * d_o[d];
          ds[i] += token.q[c] * d_o[d];
          d_error[d] += token.beta * ds[i] * token.k[c];
          dk_unit[c] += token.beta * ds[i] * token.error[d];
          d_sigmoid += token.k[c] * ds[i] * token.error[d];
        }
      for (std::size_t c = 0; c < key_dim; ++c)
        for (std::size_t d = 0; d < value_dim; ++d) {
          const std::size_t i = c * value_dim + d;
          const std::int64_t at = e.decay_at(t, head, static_cast<std::int64_t>(c));
          ds[i] -= token.k[c] * d_error[d];
          dk_unit[c] -= token.decayed[i] * d_error[d];
          d_decay[at] += ds[i] * token.decayed[i];
          ds[i] *= exp(decay[at]);
        }
      for (std::size_t d = 0; d < value_dim; ++d) dv[e.v_at(t, head) + static_cast<std::int64_t>(d)] += d_error[d];
      d_beta[t * e.value_heads + head] += d_sigmoid * token.beta * (T(1) - token.beta);
      const std::int64_t at = e.qk_at(t, head);
      unit_length_backward(e.key_dim, DeltaRuleToken<T>::q_scale(e), q + at, dq_unit, dq + at);
      unit_length_backward(e.key_dim, T(1), k + at, dk_unit, dk + at);
    }
  }
}

}  // namespace qad::reference
