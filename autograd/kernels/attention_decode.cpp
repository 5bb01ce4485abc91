#include "autograd/kernels/attention_decode.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "autograd/kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/attention_decode.cpp"
#include <hwy/foreach_target.h>

#include "autograd/kernels/scratch.h"
#include "autograd/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

constexpr std::int64_t kKeysTogether = 4;
using Together = std::integral_constant<std::int64_t, kKeysTogether>;
using Single = std::integral_constant<std::int64_t, 1>;

// Calls visit(first key, how many of them, pointer to the first one's row), whose memory is read once from its
// beginning to its end: that is what decoding waits for, so the rows to come are asked for early.
template <class Visit>
HWY_INLINE void each_keys(const DecodeExtents& e, const float* rows, const Visit& visit) {
  constexpr std::int64_t kAhead = 2048 / sizeof(float);
  constexpr std::int64_t kLine = 64 / sizeof(float);
  const std::int64_t stride = e.stride();
  std::int64_t key = 0;
  for (; key + kKeysTogether <= e.keys; key += kKeysTogether) {
    const float* first = rows + key * stride;
    for (std::int64_t i = 0; i < kKeysTogether * stride; i += kLine) hwy::Prefetch(first + kAhead + i);
    visit(key, Together(), first);
  }
  for (; key < e.keys; ++key) visit(key, Single(), rows + key * stride);
}

// scores [kv_heads·group, keys] <- factor·q·k
void decode_scores(const DecodeExtents& e, float factor, const float* q, const float* k, float* scores) {
  each_keys(e, k, [&](std::int64_t key, auto count, const float* row) HWY_ATTR {
    const float* query = q;
    float* score = scores + key;
    for (std::int64_t kv_head = 0; kv_head < e.kv_heads; ++kv_head, row += e.dim)
      for (std::int64_t i = 0; i < e.group; ++i, query += e.dim, score += e.keys) {
        Vector sums[count.value];
        for (Vector& sum : sums) sum = zero();
        each_vector(e.dim, [&](auto at) HWY_ATTR {
          for (std::int64_t n = 0; n < count.value; ++n)
            sums[n] = hn::MulAdd(at.load(query), at.load(row + n * e.stride()), sums[n]);
        });
        for (std::int64_t n = 0; n < count.value; ++n) score[n] = factor * sum_of_lanes(sums[n]);
      }
  });
}

// out [kv_heads, group, dim] += Σ over the keys of p [kv_heads·group, keys] times v
void decode_values(const DecodeExtents& e, const float* p, const float* v, float* out) {
  each_keys(e, v, [&](std::int64_t key, auto count, const float* row) HWY_ATTR {
    const float* probability = p + key;
    float* sums = out;
    for (std::int64_t kv_head = 0; kv_head < e.kv_heads; ++kv_head, row += e.dim)
      for (std::int64_t i = 0; i < e.group; ++i, sums += e.dim, probability += e.keys)
        each_vector(e.dim, [&](auto at) HWY_ATTR {
          Vector sum = at.load(sums);
          for (std::int64_t n = 0; n < count.value; ++n)
            sum = hn::MulAdd(set(probability[n]), at.load(row + n * e.stride()), sum);
          at.store(sum, sums);
        });
  });
}

// The probabilities of a row of scores, in its place, and the logarithm of their sum.
float softmax_row(std::int64_t size, float* s) {
  const float max = max_element(size, s);
  const Vector largest = set(max);
  Vector sum = zero();
  each_vector(size, [&](auto at) HWY_ATTR {
    const Vector e = exp(hn::Sub(at.load(s), largest));
    sum = hn::Add(sum, at.only_valid(e));
    at.store(e, s);
  });
  const float total = sum_of_lanes(sum);
  const Vector factor = set(1.0f / total);
  each_vector(size, [&](auto at) HWY_ATTR { at.store(hn::Mul(at.load(s), factor), s); });
  return max + std::log(total);
}

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::kernels {

HWY_EXPORT(decode_scores);
HWY_EXPORT(decode_values);
HWY_EXPORT(softmax_row);

void decode_attention(const DecodeExtents& e, float scale, const float* q, const float* k, const float* v, float* out,
                      float* log_sum_exp) {
  thread_local Scratch<float> scratch;
  float* scores = scratch.get(e.heads() * e.keys);
  HWY_DYNAMIC_DISPATCH(decode_scores)(e, scale, q, k, scores);
  for (std::int64_t head = 0; head < e.heads(); ++head)
    log_sum_exp[head] = HWY_DYNAMIC_DISPATCH(softmax_row)(e.keys, scores + head * e.keys);
  std::fill_n(out, e.heads() * e.dim, 0.0f);
  HWY_DYNAMIC_DISPATCH(decode_values)(e, scores, v, out);
}

}  // namespace qad::kernels
#endif
