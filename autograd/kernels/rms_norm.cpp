#include "autograd/kernels/rms_norm.h"

#include <algorithm>
#include <cmath>

#include "autograd/kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/rms_norm.cpp"
#include <hwy/foreach_target.h>

#include "autograd/base/parallel.h"
#include "autograd/kernels/scratch.h"
#include "autograd/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

void rms_norm_forward_rows(std::int64_t rows, std::int64_t cols, float epsilon, const float* x, const float* weight,
                           float* y, float* inverse_rms) {
  for (std::int64_t row = 0; row < rows; ++row, x += cols, y += cols) {
    Vector squares = zero();
    each_vector(cols, [&](auto at) HWY_ATTR {
      const Vector v = at.load(x);
      squares = hn::MulAdd(v, v, squares);
    });
    const float inverse = 1.0f / std::sqrt(sum_of_lanes(squares) / static_cast<float>(cols) + epsilon);
    each_vector(cols,
                [&](auto at) HWY_ATTR { at.store(hn::Mul(hn::Mul(at.load(x), set(inverse)), at.load(weight)), y); });
    inverse_rms[row] = inverse;
  }
}

// With r = inverse_rms and g = dy·weight:  dx = r·(g - x·r²·mean(g·x)),  d_weight += Σ over rows of dy·x·r.
void rms_norm_backward_rows(std::int64_t rows, std::int64_t cols, const float* x, const float* weight,
                            const float* inverse_rms, const float* dy, float* dx, float* d_weight) {
  for (std::int64_t row = 0; row < rows; ++row, x += cols, dy += cols, dx += cols) {
    const float r = inverse_rms[row];
    Vector products = zero();
    each_vector(cols, [&](auto at) HWY_ATTR {
      products = hn::MulAdd(hn::Mul(at.load(dy), at.load(weight)), at.load(x), products);
    });
    const Vector pull = set(r * r * (sum_of_lanes(products) / static_cast<float>(cols)));
    each_vector(cols, [&](auto at) HWY_ATTR {
      const Vector v = at.load(x);
      const Vector d = at.load(dy);
      if (d_weight != nullptr) at.store(hn::MulAdd(d, hn::Mul(v, set(r)), at.load(d_weight)), d_weight);
      at.store(hn::Mul(hn::NegMulAdd(v, pull, hn::Mul(d, at.load(weight))), set(r)), dx);
    });
  }
}

void add_to(std::int64_t size, const float* x, float* y) {
  each_vector(size, [&](auto at) HWY_ATTR { at.store(hn::Add(at.load(x), at.load(y)), y); });
}

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::kernels {

HWY_EXPORT(rms_norm_forward_rows);
HWY_EXPORT(rms_norm_backward_rows);
HWY_EXPORT(add_to);

namespace {

// A function of the row's length alone, since the sums of d_weight follow the chunks.
std::int64_t rows_per_chunk(std::int64_t cols) { return std::clamp<std::int64_t>((1 << 14) / cols, 1, 64); }

}  // namespace

void rms_norm_forward(std::int64_t rows, std::int64_t cols, float epsilon, const float* x, const float* weight,
                      float* y, float* inverse_rms) {
  if (cols == 0) return;
  parallel_for(rows, rows_per_chunk(cols), [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(rms_norm_forward_rows)
    (end - begin, cols, epsilon, x + begin * cols, weight, y + begin * cols, inverse_rms + begin);
  });
}

void rms_norm_backward(std::int64_t rows, std::int64_t cols, const float* x, const float* weight,
                       const float* inverse_rms, const float* dy, float* dx, float* d_weight) {
  if (cols == 0 || loops_are_dry()) return;  // sums over the chunks would be work
  thread_local Scratch<float> scratch;
  const std::int64_t chunk_rows = rows_per_chunk(cols);
  const std::int64_t chunks = (rows + chunk_rows - 1) / chunk_rows;
  float* partial = d_weight != nullptr ? scratch.get(chunks * cols) : nullptr;
  parallel_for(rows, chunk_rows, [&](std::int64_t begin, std::int64_t end) {
    float* sums = partial != nullptr ? partial + begin / chunk_rows * cols : nullptr;
    if (sums != nullptr) std::fill_n(sums, cols, 0.0f);
    HWY_DYNAMIC_DISPATCH(rms_norm_backward_rows)
    (end - begin, cols, x + begin * cols, weight, inverse_rms + begin, dy + begin * cols, dx + begin * cols, sums);
  });
  if (d_weight != nullptr)
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
      HWY_DYNAMIC_DISPATCH(add_to)(cols, partial + chunk * cols, d_weight);
}

}  // namespace qad::kernels
#endif
