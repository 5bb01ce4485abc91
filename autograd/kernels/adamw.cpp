#include "autograd/kernels/adamw.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "autograd/kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/adamw.cpp"
#include <hwy/foreach_target.h>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/core/dtype.h"
#include "autograd/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

void adamw_range(std::int64_t size, const AdamWUpdate& update, const float* gradient, float* weights, float* m,
                 float* v) {
  const Vector gradient_scale = set(update.gradient_scale);
  const Vector beta1 = set(update.beta1);
  const Vector beta2 = set(update.beta2);
  const Vector rest1 = set(1.0f - update.beta1);
  const Vector rest2 = set(1.0f - update.beta2);
  const Vector decay = set(1.0f - update.learning_rate * update.weight_decay);
  const Vector step = set(update.learning_rate / update.bias_correction1);
  const Vector root_bias2 = set(std::sqrt(update.bias_correction2));
  const Vector epsilon = set(update.epsilon);
  each_vector(size, [&](auto at) HWY_ATTR {
    const Vector g = hn::Mul(at.load(gradient), gradient_scale);
    const Vector new_m = hn::MulAdd(beta1, at.load(m), hn::Mul(rest1, g));
    const Vector new_v = hn::MulAdd(beta2, at.load(v), hn::Mul(rest2, hn::Mul(g, g)));
    const Vector denominator = hn::Add(hn::Div(hn::Sqrt(new_v), root_bias2), epsilon);
    const Vector w = hn::Mul(at.load(weights), decay);
    at.store(new_m, m);
    at.store(new_v, v);
    at.store(hn::Sub(w, hn::Mul(step, hn::Div(new_m, denominator))), weights);
  });
}

// Philox 4x32-10 of autograd/base/random.h for 16 counters side by side: word w of counter c is that of element 16·w +
// c of a block (autograd/reference/adamw.h).
void noise_of_block(std::uint64_t key, std::uint64_t block, std::uint32_t* noise) {
  constexpr int kCounters = kNoiseBlock / 4;
  std::uint32_t x[4][kCounters];
  for (int c = 0; c < kCounters; ++c) {
    const std::uint64_t counter = block * kCounters + static_cast<std::uint64_t>(c);
    x[0][c] = static_cast<std::uint32_t>(counter);
    x[1][c] = static_cast<std::uint32_t>(counter >> 32);
    x[2][c] = x[3][c] = 0;
  }
  auto key0 = static_cast<std::uint32_t>(key), key1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int c = 0; c < kCounters; ++c) {
      const std::uint64_t product0 = std::uint64_t{0xD2511F53u} * x[0][c];
      const std::uint64_t product1 = std::uint64_t{0xCD9E8D57u} * x[2][c];
      x[0][c] = static_cast<std::uint32_t>(product1 >> 32) ^ x[1][c] ^ key0;
      x[1][c] = static_cast<std::uint32_t>(product1);
      x[2][c] = static_cast<std::uint32_t>(product0 >> 32) ^ x[3][c] ^ key1;
      x[3][c] = static_cast<std::uint32_t>(product0);
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  std::memcpy(noise, x, sizeof(x));
}

// Away from zero if `noise`, one of 2^16 alike, carries over from the half that BF16 has no room for.
HWY_INLINE std::uint16_t rounded_moment(float value, std::uint32_t noise) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const std::uint32_t finite = std::min(magnitude + noise, 0x7f7fffffu);
  const std::uint32_t other = magnitude > 0x7f800000u ? magnitude | 0x00400000u : magnitude;
  return static_cast<std::uint16_t>(((bits & 0x80000000u) | (magnitude < 0x7f800000u ? finite : other)) >> 16);
}

void adamw_bf16_range(std::int64_t size, const AdamWUpdate& update, const MomentNoise& noise, const float* gradient,
                      float* weights, std::uint16_t* m, std::uint16_t* v) {
  constexpr std::int64_t kPiece = 16 * kNoiseBlock;  // what stands in FP32 at a time
  HWY_ALIGN float m_FP32[kPiece], v_FP32[kPiece];
  HWY_ALIGN std::uint32_t bits[kPiece];
  for (std::int64_t begin = 0; begin < size; begin += kPiece) {
    const std::int64_t count = std::min(kPiece, size - begin);
    for (std::int64_t i = 0; i < count; ++i) {
      m_FP32[i] = bf16_to_f32(m[begin + i]);
      v_FP32[i] = bf16_to_f32(v[begin + i]);
    }
    adamw_range(count, update, gradient + begin, weights + begin, m_FP32, v_FP32);
    for (std::int64_t i = 0; i < count; i += kNoiseBlock)
      noise_of_block(noise.key, static_cast<std::uint64_t>((noise.first + begin + i) / kNoiseBlock), bits + i);
    for (std::int64_t i = 0; i < count; ++i) {
      m[begin + i] = rounded_moment(m_FP32[i], bits[i] & 0xffffu);
      v[begin + i] = rounded_moment(v_FP32[i], bits[i] >> 16);
    }
  }
}

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::kernels {

HWY_EXPORT(adamw_range);
HWY_EXPORT(adamw_bf16_range);

void adamw(std::int64_t size, const AdamWUpdate& update, const float* gradient, float* weights, float* m, float* v) {
  parallel_for(size, 1 << 14, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(adamw_range)(end - begin, update, gradient + begin, weights + begin, m + begin, v + begin);
  });
}

void adamw_bf16(std::int64_t size, const AdamWUpdate& update, const MomentNoise& noise, const float* gradient,
                float* weights, std::uint16_t* m, std::uint16_t* v) {
  QAD_ASSERT(noise.first % kNoiseBlock == 0);
  parallel_for(size, 1 << 14, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(adamw_bf16_range)
    (end - begin, update, {noise.key, noise.first + begin}, gradient + begin, weights + begin, m + begin, v + begin);
  });
}

}  // namespace qad::kernels
#endif
