#include "autograd/kernels/rope.h"

#include <algorithm>

#include "autograd/kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/rope.cpp"
#include <hwy/foreach_target.h>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

// The first 2·half numbers of every head of one token: (a, b) -> (a·cos - b·sin, b·cos + a·sin), with sin negated for
// the inverse; the others stay.
void rope_token(std::int64_t heads, std::int64_t head_dim, std::int64_t half, const float* cosines, const float* sines,
                bool inverse, const float* x, float* out) {
  const Vector sign = set(inverse ? -1.0f : 1.0f);
  for (std::int64_t head = 0; head < heads; ++head, x += head_dim, out += head_dim) {
    if (x != out) std::copy(x + 2 * half, x + head_dim, out + 2 * half);
    each_vector(half, [&](auto at) HWY_ATTR {
      const Vector a = at.load(x);
      const Vector b = at.load(x + half);
      const Vector c = at.load(cosines);
      const Vector s = hn::Mul(at.load(sines), sign);
      at.store(hn::NegMulAdd(b, s, hn::Mul(a, c)), out);
      at.store(hn::MulAdd(a, s, hn::Mul(b, c)), out + half);
    });
  }
}

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::kernels {

HWY_EXPORT(rope_token);

void rope(std::int64_t tokens, std::int64_t heads, std::int64_t head_dim, std::int64_t turned,
          const std::int32_t* positions, const float* cosines, const float* sines, bool inverse, const float* x,
          float* out) {
  QAD_ASSERT(turned % 2 == 0 && turned <= head_dim);
  const std::int64_t half = turned / 2;
  const std::int64_t width = heads * head_dim;
  if (width == 0) return;
  parallel_for(tokens, std::max<std::int64_t>(1, (1 << 14) / width), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t token = begin; token < end; ++token) HWY_DYNAMIC_DISPATCH(rope_token)
    (heads, head_dim, half, cosines + positions[token] * half, sines + positions[token] * half, inverse,
     x + token * width, out + token * width);
  });
}

}  // namespace qad::kernels
#endif
