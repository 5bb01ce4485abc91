#include "autograd/kernels/gated_rms_norm.h"

#include <algorithm>
#include <cmath>

#include "autograd/kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/gated_rms_norm.cpp"
#include <hwy/foreach_target.h>

#include "autograd/base/parallel.h"
#include "autograd/kernels/scratch.h"
#include "autograd/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

// One group of one row; weight and the results begin at its first column.
void gated_norm_group(const GatedNormShape& shape, const float* x, const float* gate, const float* weight, float* y,
                      float* inverse_rms) {
  Vector squares = zero();
  each_vector(shape.group, [&](auto at) HWY_ATTR {
    const Vector z = at.load(gate);
    const Vector s = sigmoid(z);
    const Vector f = shape.silu ? hn::Mul(z, s) : s;
    const Vector from = at.load(x);
    const Vector gated = hn::Mul(from, f);
    const Vector v = shape.gate_first ? gated : from;
    squares = hn::MulAdd(v, v, squares);
    at.store(gated, y);
  });
  const float inverse = 1.0f / std::sqrt(sum_of_lanes(squares) / static_cast<float>(shape.group) + shape.epsilon);
  each_vector(shape.group,
              [&](auto at) HWY_ATTR { at.store(hn::Mul(hn::Mul(at.load(y), set(inverse)), at.load(weight)), y); });
  *inverse_rms = inverse;
}

// With a = f where the gate is first, b = f where it is last, else 1;  v = x·a,  h = dy·weight·b:
// dv = r·(h - v·r²·mean(h·v)),  dx = dv·a,  df = dv·x or dy·weight·v·r,  d_weight += dy·v·r·b.
// `kept` has room for three rows of a group.
void gated_norm_group_backward(const GatedNormShape& shape, const float* x, const float* gate, const float* weight,
                               float r, const float* dy, float* dx, float* d_gate, float* d_weight, float* kept) {
  float *values = kept, *slopes = kept + shape.group, *hs = slopes + shape.group;
  Vector products = zero();
  each_vector(shape.group, [&](auto at) HWY_ATTR {
    const Vector z = at.load(gate);
    const Vector s = sigmoid(z);
    const Vector rest = hn::Sub(set(1.0f), s);
    const Vector silu = hn::Mul(z, s);
    const Vector f = shape.silu ? silu : s;
    const Vector from = at.load(x);
    const Vector d = at.load(dy);
    const Vector v = shape.gate_first ? hn::Mul(from, f) : from;
    const Vector dw = hn::Mul(d, at.load(weight));
    const Vector h = shape.gate_first ? dw : hn::Mul(dw, f);
    products = hn::MulAdd(h, v, products);
    if (d_weight != nullptr) {
      const Vector normed = hn::Mul(hn::Mul(from, f), set(r));  // v·b·r
      at.store(hn::MulAdd(d, normed, at.load(d_weight)), d_weight);
    }
    at.store(f, values);
    at.store(shape.silu ? hn::MulAdd(silu, rest, s) : hn::Mul(s, rest), slopes);
    at.store(shape.gate_first ? h : dw, hs);
  });
  const Vector pull = set(r * r * (sum_of_lanes(products) / static_cast<float>(shape.group)));
  each_vector(shape.group, [&](auto at) HWY_ATTR {
    const Vector from = at.load(x);
    const Vector f = at.load(values);
    const Vector dw = at.load(hs);
    Vector df;
    if (shape.gate_first) {
      const Vector dv = hn::Mul(hn::NegMulAdd(hn::Mul(from, f), pull, dw), set(r));
      df = hn::Mul(dv, from);
      at.store(hn::Mul(dv, f), dx);
    } else {
      df = hn::Mul(dw, hn::Mul(from, set(r)));
      at.store(hn::Mul(hn::NegMulAdd(from, pull, hn::Mul(dw, f)), set(r)), dx);
    }
    if (d_gate != nullptr) at.store(hn::MulAdd(df, at.load(slopes), at.load(d_gate)), d_gate);
  });
}

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::kernels {

HWY_EXPORT(gated_norm_group);
HWY_EXPORT(gated_norm_group_backward);

namespace {

// A function of the row's length alone, since the sums of d_weight follow the chunks.
std::int64_t rows_per_chunk(std::int64_t cols) { return std::clamp<std::int64_t>((1 << 14) / cols, 1, 64); }

// One for each column. This thread's memory.
const float* weights_of_columns(const GatedNormShape& shape, const float* weight) {
  if (shape.weights == shape.cols) return weight;
  thread_local Scratch<float> scratch;
  float* all = scratch.get(shape.cols);
  for (std::int64_t c = 0; c < shape.cols; c += shape.weights) std::copy_n(weight, shape.weights, all + c);
  return all;
}

}  // namespace

void gated_rms_norm_forward(const GatedNormShape& shape, const float* x, const float* gate, const float* weight,
                            float* y, float* inverse_rms) {
  if (shape.cols == 0) return;
  const float* weights = weights_of_columns(shape, weight);
  const std::int64_t groups = shape.cols / shape.group;
  parallel_for(shape.rows, rows_per_chunk(shape.cols), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row)
      for (std::int64_t group = 0; group < groups; ++group) {
        const std::int64_t first = group * shape.group, at = row * shape.cols + first;
        HWY_DYNAMIC_DISPATCH(gated_norm_group)
        (shape, x + at, gate + row * shape.gate_stride + first, weights + first, y + at,
         inverse_rms + row * groups + group);
      }
  });
}

void gated_rms_norm_backward(const GatedNormShape& shape, const float* x, const float* gate, const float* weight,
                             const float* inverse_rms, const float* dy, float* dx, float* d_gate, float* d_weight) {
  if (shape.cols == 0 || loops_are_dry()) return;
  thread_local Scratch<float> scratch;
  const float* weights = weights_of_columns(shape, weight);
  const std::int64_t groups = shape.cols / shape.group, chunk_rows = rows_per_chunk(shape.cols);
  const std::int64_t chunks = (shape.rows + chunk_rows - 1) / chunk_rows;
  float* partial = d_weight != nullptr ? scratch.get(chunks * shape.cols) : nullptr;
  parallel_for(shape.rows, chunk_rows, [&](std::int64_t begin, std::int64_t end) {
    thread_local Scratch<float> kept;
    float* sums = partial != nullptr ? partial + begin / chunk_rows * shape.cols : nullptr;
    if (sums != nullptr) std::fill_n(sums, shape.cols, 0.0f);
    for (std::int64_t row = begin; row < end; ++row)
      for (std::int64_t group = 0; group < groups; ++group) {
        const std::int64_t first = group * shape.group, at = row * shape.cols + first;
        const std::int64_t gate_at = row * shape.gate_stride + first;
        HWY_DYNAMIC_DISPATCH(gated_norm_group_backward)
        (shape, x + at, gate + gate_at, weights + first, inverse_rms[row * groups + group], dy + at, dx + at,
         d_gate != nullptr ? d_gate + gate_at : nullptr, sums != nullptr ? sums + first : nullptr,
         kept.get(3 * shape.group));
      }
  });
  if (d_weight == nullptr) return;
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
    for (std::int64_t first = 0; first < shape.cols; first += shape.weights)
      for (std::int64_t i = 0; i < shape.weights; ++i) d_weight[i] += partial[chunk * shape.cols + first + i];
}

}  // namespace qad::kernels
#endif
