#include "autograd/kernels/log_decay.h"

#include <algorithm>
#include <cmath>

#include "autograd/kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/log_decay.cpp"
#include <hwy/foreach_target.h>

#include "autograd/base/parallel.h"
#include "autograd/kernels/scratch.h"
#include "autograd/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

// Above this softplus is its argument.
constexpr float kLinear = 20.0f;

void log_decay_row(std::int64_t cols, const float* g, const float* bias, const float* rate, float* l) {
  each_vector(cols, [&](auto at) HWY_ATTR {
    const Vector x = hn::Add(at.load(g), at.load(bias));
    // A NaN is not below it and so comes through.
    const Vector softplus = hn::IfThenElse(hn::Le(x, set(kLinear)), hn::Log1p(Floats(), exp(x)), x);
    at.store(hn::Mul(at.load(rate), softplus), l);
  });
}

// d <- the row's gradient of g; its sums and those of dl·l add to what is there.
void log_decay_backward_row(std::int64_t cols, const float* g, const float* bias, const float* rate, const float* l,
                            const float* dl, float* d, float* d_bias, float* d_rate) {
  each_vector(cols, [&](auto at) HWY_ATTR {
    const Vector x = hn::Add(at.load(g), at.load(bias));
    const Vector slope = hn::IfThenElse(hn::Gt(x, set(kLinear)), set(1.0f), sigmoid(x));
    const Vector dx = hn::Mul(hn::Mul(at.load(dl), at.load(rate)), slope);
    if (d != nullptr) at.store(hn::Add(at.load(d), dx), d);
    at.store(hn::Add(at.load(d_bias), dx), d_bias);
    at.store(hn::MulAdd(at.load(dl), at.load(l), at.load(d_rate)), d_rate);
  });
}

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::kernels {

HWY_EXPORT(log_decay_row);
HWY_EXPORT(log_decay_backward_row);

namespace {

// A function of the row's length alone, since sums over rows follow the chunks.
std::int64_t rows_per_chunk(std::int64_t cols) { return std::clamp<std::int64_t>((1 << 14) / cols, 4, 256); }

// -exp(A_log) for every column.
const float* rates(const LogDecayInput& x) {
  thread_local Scratch<float> scratch;
  float* rate = scratch.get(x.cols);
  const std::int64_t width = x.cols / x.heads;
  for (std::int64_t head = 0; head < x.heads; ++head) std::fill_n(rate + head * width, width, -std::exp(x.A_log[head]));
  return rate;
}

}  // namespace

void log_decay_forward(const LogDecayInput& x, float* l) {
  if (x.cols == 0) return;
  parallel_for(x.rows, rows_per_chunk(x.cols), [&](std::int64_t begin, std::int64_t end) {
    const float* rate = rates(x);
    for (std::int64_t row = begin; row < end; ++row)
      HWY_DYNAMIC_DISPATCH(log_decay_row)(x.cols, x.g + row * x.stride, x.dt_bias, rate, l + row * x.cols);
  });
}

void log_decay_backward(const LogDecayInput& x, const float* l, const float* dl, const LogDecayGradients& gradients) {
  if (x.cols == 0 || loops_are_dry()) return;
  thread_local Scratch<float> scratch;
  const std::int64_t chunk_rows = rows_per_chunk(x.cols), chunks = (x.rows + chunk_rows - 1) / chunk_rows;
  float* partial = scratch.get(2 * chunks * x.cols);  // of every chunk the sums by column: of dg, of dl·l
  parallel_for(x.rows, chunk_rows, [&](std::int64_t begin, std::int64_t end) {
    const float* rate = rates(x);
    float* sums = partial + begin / chunk_rows * 2 * x.cols;
    std::fill_n(sums, 2 * x.cols, 0.0f);
    for (std::int64_t row = begin; row < end; ++row) HWY_DYNAMIC_DISPATCH(log_decay_backward_row)
    (x.cols, x.g + row * x.stride, x.dt_bias, rate, l + row * x.cols, dl + row * x.cols,
     gradients.g != nullptr ? gradients.g + row * x.stride : nullptr, sums, sums + x.cols);
  });
  const std::int64_t width = x.cols / x.heads;
  parallel_for(x.heads, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      const float *d_bias = partial + chunk * 2 * x.cols, *d_rate = d_bias + x.cols;
      for (std::int64_t c = begin * width; c < end * width; ++c) {
        if (gradients.dt_bias != nullptr) gradients.dt_bias[c] += d_bias[c];
        if (gradients.A_log != nullptr) gradients.A_log[c / width] += d_rate[c];
      }
    }
  });
}

}  // namespace qad::kernels
#endif
