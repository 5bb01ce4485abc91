#include "autograd/kernels/elementwise.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "autograd/kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/elementwise.cpp"
#include <hwy/foreach_target.h>

#include "autograd/base/parallel.h"
#include "autograd/kernels/scratch.h"
#include "autograd/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

void add_range(std::int64_t size, const float* a, const float* b, float* out) {
  each_vector(size, [&](auto at) HWY_ATTR { at.store(hn::Add(at.load(a), at.load(b)), out); });
}

double sum_of_squares_range(std::int64_t size, const float* x) {
  DoubleSum sum;
  each_vector(size, [&](auto at) HWY_ATTR { sum.add_square(at.load(x)); });
  return sum.total();
}

void swiglu_forward_range(std::int64_t size, const float* gate, const float* up, float* out) {
  each_vector(size, [&](auto at) HWY_ATTR {
    const Vector z = at.load(gate);
    at.store(hn::Mul(hn::Mul(z, sigmoid(z)), at.load(up)), out);
  });
}

void swiglu_backward_range(std::int64_t size, const float* gate, const float* up, const float* d_out, float* d_gate,
                           float* d_up) {
  each_vector(size, [&](auto at) HWY_ATTR {
    const Vector z = at.load(gate);
    const Vector s = sigmoid(z);
    const Vector silu = hn::Mul(z, s);
    // silu'(z) = s·(1 + z·(1 - s)) = s + silu·(1 - s)
    const Vector slope = hn::MulAdd(silu, hn::Sub(set(1.0f), s), s);
    const Vector d = at.load(d_out);
    const Vector u = at.load(up);
    at.store(hn::Mul(hn::Mul(d, u), slope), d_gate);
    at.store(hn::Mul(d, silu), d_up);
  });
}

// 0 where x < 0, and not a maximum with 0, which would hide a NaN.
HWY_INLINE Vector relu(Vector x) { return hn::IfThenElse(hn::Lt(x, zero()), zero(), x); }

void squared_relu_forward_range(std::int64_t size, const float* x, float* out) {
  each_vector(size, [&](auto at) HWY_ATTR {
    const Vector r = relu(at.load(x));
    at.store(hn::Mul(r, r), out);
  });
}

void squared_relu_backward_range(std::int64_t size, const float* x, const float* d_out, float* dx) {
  each_vector(size, [&](auto at) HWY_ATTR {
    const Vector r = relu(at.load(x));
    at.store(hn::Mul(hn::Add(r, r), at.load(d_out)), dx);
  });
}

void sigmoid_gated_forward_range(std::int64_t size, const float* x, const float* gate, float* out) {
  each_vector(size, [&](auto at) HWY_ATTR { at.store(hn::Mul(at.load(x), sigmoid(at.load(gate))), out); });
}

void sigmoid_gated_backward_range(std::int64_t size, const float* x, const float* gate, const float* d_out, float* dx,
                                  float* d_gate) {
  each_vector(size, [&](auto at) HWY_ATTR {
    const Vector s = sigmoid(at.load(gate));
    const Vector ds = hn::Mul(at.load(d_out), s);
    at.store(hn::Mul(hn::Mul(ds, at.load(x)), hn::Sub(set(1.0f), s)), d_gate);
    at.store(ds, dx);
  });
}

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::kernels {

HWY_EXPORT(add_range);
HWY_EXPORT(sum_of_squares_range);
HWY_EXPORT(swiglu_forward_range);
HWY_EXPORT(swiglu_backward_range);
HWY_EXPORT(squared_relu_forward_range);
HWY_EXPORT(squared_relu_backward_range);
HWY_EXPORT(sigmoid_gated_forward_range);
HWY_EXPORT(sigmoid_gated_backward_range);

namespace {

constexpr std::int64_t kChunk = kSumChunk;

// One value a chunk, in the order of the chunks.
template <class T, class RangeFunction>
std::pair<const T*, std::int64_t> per_chunk(std::int64_t size, RangeFunction&& of_range) {
  thread_local Scratch<T> scratch;
  const std::int64_t chunks = (size + kChunk - 1) / kChunk;
  T* values = scratch.get(chunks);
  parallel_for(size, kChunk,
               [&](std::int64_t begin, std::int64_t end) { values[begin / kChunk] = of_range(begin, end); });
  return {values, chunks};
}

}  // namespace

void add(std::int64_t size, const float* a, const float* b, float* out) {
  parallel_for(size, kChunk, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(add_range)(end - begin, a + begin, b + begin, out + begin);
  });
}

void accumulate(std::int64_t size, const float* x, float* y) { add(size, x, y, y); }

void add_bias(std::int64_t rows, std::int64_t cols, const float* bias, float* x) {
  if (cols == 0) return;
  parallel_for(rows, std::max<std::int64_t>(1, kChunk / cols), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row)
      HWY_DYNAMIC_DISPATCH(add_range)(cols, x + row * cols, bias, x + row * cols);
  });
}

void accumulate_column_sums(std::int64_t rows, std::int64_t cols, const float* x, float* out) {
  constexpr std::int64_t kChunkRows = 64;
  if (rows == 0 || loops_are_dry()) return;
  thread_local Scratch<float> scratch;
  const std::int64_t chunks = (rows + kChunkRows - 1) / kChunkRows;
  float* partial = scratch.get(chunks * cols);
  parallel_for(rows, kChunkRows, [&](std::int64_t begin, std::int64_t end) {
    float* sums = partial + begin / kChunkRows * cols;
    std::copy_n(x + begin * cols, cols, sums);
    for (std::int64_t row = begin + 1; row < end; ++row)
      HWY_DYNAMIC_DISPATCH(add_range)(cols, sums, x + row * cols, sums);
  });
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
    HWY_DYNAMIC_DISPATCH(add_range)(cols, out, partial + chunk * cols, out);
}

double sum_of_squares(std::int64_t size, const float* x) {
  const auto [sums, chunks] = per_chunk<double>(size, [&](std::int64_t begin, std::int64_t end) {
    return HWY_DYNAMIC_DISPATCH(sum_of_squares_range)(end - begin, x + begin);
  });
  return std::accumulate(sums, sums + chunks, 0.0);
}

void swiglu_forward(std::int64_t size, const float* gate, const float* up, float* out) {
  parallel_for(size, kChunk, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(swiglu_forward_range)(end - begin, gate + begin, up + begin, out + begin);
  });
}

void swiglu_backward(std::int64_t size, const float* gate, const float* up, const float* d_out, float* d_gate,
                     float* d_up) {
  parallel_for(size, kChunk, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(swiglu_backward_range)
    (end - begin, gate + begin, up + begin, d_out + begin, d_gate + begin, d_up + begin);
  });
}

void squared_relu_forward(std::int64_t size, const float* x, float* out) {
  parallel_for(size, kChunk, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(squared_relu_forward_range)(end - begin, x + begin, out + begin);
  });
}

void squared_relu_backward(std::int64_t size, const float* x, const float* d_out, float* dx) {
  parallel_for(size, kChunk, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(squared_relu_backward_range)(end - begin, x + begin, d_out + begin, dx + begin);
  });
}

void sigmoid_gated_forward(std::int64_t size, const float* x, const float* gate, float* out) {
  parallel_for(size, kChunk, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(sigmoid_gated_forward_range)(end - begin, x + begin, gate + begin, out + begin);
  });
}

void sigmoid_gated_backward(std::int64_t size, const float* x, const float* gate, const float* d_out, float* dx,
                            float* d_gate) {
  parallel_for(size, kChunk, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(sigmoid_gated_backward_range)
    (end - begin, x + begin, gate + begin, d_out + begin, dx + begin, d_gate + begin);
  });
}

}  // namespace qad::kernels
#endif
