// Inputs for tests of the delta rule, and what its definition makes of them.
#pragma once

#include <string>
#include <vector>

#include "autograd/reference/delta_rule.h"
#include "tests/support/complex_step.h"
#include "tests/support/near.h"

namespace qad::testing {

struct DeltaRuleCase {
  std::int64_t key_heads, value_heads, key_dim, value_dim;
  bool by_channel;
  double steepness = 0.3;  ///< decays are up to about this many nats a token

  [[nodiscard]] std::int64_t decay_width() const { return by_channel ? key_dim : 1; }
  [[nodiscard]] reference::DeltaRuleExtents of(std::int64_t tokens) const {
    return {tokens, key_heads, value_heads, key_dim, value_dim, by_channel};
  }
  [[nodiscard]] std::string name() const {
    return std::string(by_channel ? "by channel, " : "by head, ") + std::to_string(key_heads) + "/" +
           std::to_string(value_heads) + " heads of " + std::to_string(key_dim) + " and " + std::to_string(value_dim);
  }
};

/// The inputs, or what goes with each of them.
template <class T>
struct DeltaRuleArrays {
  std::vector<T> q, k, v, decay, beta;

  [[nodiscard]] std::vector<std::vector<T>*> all() { return {&q, &k, &v, &decay, &beta}; }
};
inline constexpr const char* kDeltaRuleNames[] = {"q", "k", "v", "decay", "beta"};

inline DeltaRuleArrays<float> delta_rule_input(const DeltaRuleCase& c, std::int64_t tokens, std::uint64_t stream = 1) {
  DeltaRuleArrays<float> x{normal_floats(tokens * c.key_heads * c.key_dim, 1.0, stream),
                           normal_floats(tokens * c.key_heads * c.key_dim, 1.0, stream + 1),
                           normal_floats(tokens * c.value_heads * c.value_dim, 1.0, stream + 2),
                           normal_floats(tokens * c.value_heads * c.decay_width(), c.steepness / 2, stream + 3),
                           normal_floats(tokens * c.value_heads, 1.0, stream + 4)};
  for (float& l : x.decay) l = -std::abs(l);
  return x;
}

inline std::vector<float> delta_rule_d_out(const DeltaRuleCase& c, std::int64_t tokens, std::uint64_t stream = 20) {
  return normal_floats(tokens * c.value_heads * c.value_dim, 1.0, stream);
}

template <class T>
std::vector<T> delta_rule_definition(const DeltaRuleCase& c, std::int64_t tokens, const DeltaRuleArrays<T>& x) {
  std::vector<T> out(static_cast<std::size_t>(tokens * c.value_heads * c.value_dim)),
      states(static_cast<std::size_t>(c.value_heads * c.key_dim * c.value_dim));
  reference::delta_rule_forward(c.of(tokens), x.q.data(), x.k.data(), x.v.data(), x.decay.data(), x.beta.data(),
                                states.data(), out.data());
  return out;
}

inline DeltaRuleArrays<double> delta_rule_gradients(const DeltaRuleCase& c, std::int64_t tokens,
                                                    const DeltaRuleArrays<double>& x, const Real& d_out) {
  DeltaRuleArrays<double> d{Real(x.q.size()), Real(x.k.size()), Real(x.v.size()), Real(x.decay.size()),
                            Real(x.beta.size())};
  reference::delta_rule_backward(c.of(tokens), x.q.data(), x.k.data(), x.v.data(), x.decay.data(), x.beta.data(),
                                 d_out.data(), d.q.data(), d.k.data(), d.v.data(), d.decay.data(), d.beta.data());
  return d;
}

inline DeltaRuleArrays<double> doubles(const DeltaRuleArrays<float>& x) {
  return {doubles(x.q), doubles(x.k), doubles(x.v), doubles(x.decay), doubles(x.beta)};
}

}  // namespace qad::testing
