// One AdamW update (Loshchilov and Hutter, 2019, algorithm 2), the definition.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "autograd/base/random.h"
#include "autograd/core/dtype.h"

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

/// 32 random bits for element `place` of a parameter: Philox 4x32-10 under `key` for blocks of 64 elements, word w of
/// counter 16·block + c being that of element 16·w + c of the block.
inline std::uint32_t moment_noise(std::uint64_t key, std::int64_t place) {
  const auto in_block = static_cast<std::size_t>(place % 64);
  const auto counter = static_cast<std::uint64_t>(place / 64 * 16) + in_block % 16;
  return random_words(key, 0, counter)[in_block / 16];
}

/// To BF16 by chance: of the two numbers that x stands between the one farther from zero if `noise` (0 … 2^16 - 1) is
/// among the last of them, as many as its share of the way there.
inline std::uint16_t rounded_moment(float x, std::uint32_t noise) {
  const auto cut = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x) >> 16);
  const auto next = static_cast<std::uint16_t>(cut + 1);
  if (!std::isfinite(x) || !std::isfinite(bf16_to_f32(next))) return std::isnan(x) ? f32_to_bf16(x) : cut;
  const double low = bf16_to_f32(cut), high = bf16_to_f32(next);
  const double share = (static_cast<double>(x) - low) / (high - low);
  return static_cast<double>(noise) + share * 65536 >= 65536 ? next : cut;
}

/// An update with moments in BF16, of elements `first` and on: `update(m, v)` is that of FP32.
template <class Update>
void adamw_bf16(std::int64_t size, std::uint64_t key, std::int64_t first, std::uint16_t* m, std::uint16_t* v,
                const Update& update) {
  std::vector<float> m_FP32, v_FP32;
  for (std::int64_t i = 0; i < size; ++i) {
    m_FP32.push_back(bf16_to_f32(m[i]));
    v_FP32.push_back(bf16_to_f32(v[i]));
  }
  update(m_FP32.data(), v_FP32.data());
  for (std::int64_t i = 0; i < size; ++i) {
    const std::uint32_t noise = moment_noise(key, first + i);
    m[i] = rounded_moment(m_FP32[static_cast<std::size_t>(i)], noise & 0xffffu);
    v[i] = rounded_moment(v_FP32[static_cast<std::size_t>(i)], noise >> 16);
  }
}

}  // namespace qad::reference
