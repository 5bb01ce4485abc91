#include "autograd/kernels/adamw.h"

#include <cmath>

#include "autograd/kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/adamw.cpp"
#include <hwy/foreach_target.h>

#include "autograd/base/parallel.h"
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

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::kernels {

HWY_EXPORT(adamw_range);

void adamw(std::int64_t size, const AdamWUpdate& update, const float* gradient, float* weights, float* m, float* v) {
  parallel_for(size, 1 << 14, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(adamw_range)(end - begin, update, gradient + begin, weights + begin, m + begin, v + begin);
  });
}

}  // namespace qad::kernels
#endif
