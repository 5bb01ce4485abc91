// One AdamW update (Loshchilov and Hutter, 2019, algorithm 2), the definition.
#pragma once

#include <cmath>
#include <cstdint>

namespace qad::reference {

template <class T>
struct AdamW {
  T learning_rate, beta1, beta2, epsilon, weight_decay;
  std::int64_t step;  ///< t, from 1
};

/// m = β1·m + (1-β1)·g,  v = β2·v + (1-β2)·g²,
/// w -= lr·(weight_decay·w + (m / (1-β1^t)) / (sqrt(v / (1-β2^t)) + ε)).
template <class T>
void adamw(std::int64_t size, const AdamW<T>& config, const T* gradient, T* weights, T* m, T* v) {
  const T bias1 = T(1) - static_cast<T>(std::pow(config.beta1, config.step));
  const T bias2 = T(1) - static_cast<T>(std::pow(config.beta2, config.step));
  for (std::int64_t i = 0; i < size; ++i) {
    const T g = gradient[i];
    m[i] = config.beta1 * m[i] + (T(1) - config.beta1) * g;
    v[i] = config.beta2 * v[i] + (T(1) - config.beta2) * g * g;
    weights[i] -= config.learning_rate *
                  (config.weight_decay * weights[i] + (m[i] / bias1) / (std::sqrt(v[i] / bias2) + config.epsilon));
  }
}

}  // namespace qad::reference
