#include "autograd/kernels/delta_chunk.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "autograd/kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/delta_chunk.cpp"
#include <hwy/foreach_target.h>

#include "autograd/kernels/blas.h"
#include "autograd/kernels/decayed_pairs.h"
#include "autograd/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

HWY_INLINE float inverse_length(std::int64_t size, const float* x) {
  Vector squares = zero();
  each_vector(size, [&](auto at) HWY_ATTR { squares = hn::MulAdd(at.load(x), at.load(x), squares); });
  return 1.0f / std::sqrt(sum_of_lanes(squares) + 1e-6f);
}

// unit = factor·x/sqrt(Σx² + 1e-6)
void unit_row(std::int64_t size, float factor, const float* x, float* unit) {
  const Vector scale = set(factor * inverse_length(size, x));
  each_vector(size, [&](auto at) HWY_ATTR { at.store(hn::Mul(at.load(x), scale), unit); });
}

// With r = 1/sqrt(Σx² + 1e-6):  dx += r·(factor·d - unit·⟨unit, d⟩/factor)
void unit_row_backward(std::int64_t size, float factor, const float* x, const float* unit, const float* d, float* dx) {
  const float r = inverse_length(size, x);
  Vector products = zero();
  each_vector(size, [&](auto at) HWY_ATTR { products = hn::MulAdd(at.load(unit), at.load(d), products); });
  const Vector along = set(r * sum_of_lanes(products) / factor), scale = set(r * factor);
  each_vector(size, [&](auto at) HWY_ATTR {
    const Vector change = hn::NegMulAdd(at.load(unit), along, hn::Mul(at.load(d), scale));
    at.store(hn::Add(at.load(dx), change), dx);
  });
}

void sigmoids(std::int64_t size, const float* x, float* out) {
  each_vector(size, [&](auto at) HWY_ATTR { at.store(sigmoid(at.load(x)), out); });
}

void subtract_from(std::int64_t size, const float* x, float* y) {
  each_vector(size, [&](auto at) HWY_ATTR { at.store(hn::Sub(at.load(x), at.load(y)), y); });
}

void accumulate_row(std::int64_t size, const float* x, float* y) {
  each_vector(size, [&](auto at) HWY_ATTR { at.store(hn::Add(at.load(x), at.load(y)), y); });
}

// Rows in order: e_i <- e_i - left_i - Σ_{j<i} pairs_ij·w_j, w_i = beta_i·e_i. `left` may be null for 0.
void solve_down(std::int64_t count, std::int64_t size, const float* pairs, std::int64_t stride, const float* beta,
                const float* left, float* e, float* w) {
  each_vector(size, [&](auto at) HWY_ATTR {
    Vector solved[kDeltaSolveRows];
    for (std::int64_t i = 0; i < count; ++i) {
      Vector rest = at.load(e + i * size);
      if (left != nullptr) rest = hn::Sub(rest, at.load(left + i * size));
      for (std::int64_t j = 0; j < i; ++j) rest = hn::NegMulAdd(set(pairs[i * stride + j]), solved[j], rest);
      solved[i] = hn::Mul(set(beta[i]), rest);
      at.store(rest, e + i * size);
      at.store(solved[i], w + i * size);
    }
  });
}

// One token by itself: next = keeps∘S + k·wᵀ with w = beta·(v - Sᵀ(keeps∘k)),  out = nextᵀq. A pass over S for some
// columns at a time, then one from the cache. next may be S.
void one_token(std::int64_t key_dim, std::int64_t value_dim, const float* keeps, const float* k, const float* q,
               const float* v, float beta, const float* S, float* next, float* out) {
  const auto columns = [&](auto at, auto vectors) HWY_ATTR {
    Vector w[vectors.value], sums[vectors.value];
    for (std::int64_t n = 0; n < vectors.value; ++n) w[n] = sums[n] = zero();
    for (std::int64_t c = 0; c < key_dim; ++c)
      for (std::int64_t n = 0; n < vectors.value; ++n)
        w[n] = hn::MulAdd(set(keeps[c] * k[c]), at.load(S + c * value_dim + n * kLanes), w[n]);
    for (std::int64_t n = 0; n < vectors.value; ++n) w[n] = hn::Mul(set(beta), hn::Sub(at.load(v + n * kLanes), w[n]));
    for (std::int64_t c = 0; c < key_dim; ++c)
      for (std::int64_t n = 0; n < vectors.value; ++n) {
        const std::int64_t from = c * value_dim + n * kLanes;
        const Vector s = hn::MulAdd(set(k[c]), w[n], hn::Mul(set(keeps[c]), at.load(S + from)));
        at.store(s, next + from);
        sums[n] = hn::MulAdd(set(q[c]), s, sums[n]);
      }
    for (std::int64_t n = 0; n < vectors.value; ++n) at.store(sums[n], out + n * kLanes);
  };
  constexpr std::int64_t kTogether = 4;
  std::int64_t i = 0;
  for (; i + kTogether * kLanes <= value_dim; i += kTogether * kLanes)
    columns(WholeVector{i}, std::integral_constant<std::int64_t, kTogether>());
  for (; i + kLanes <= value_dim; i += kLanes) columns(WholeVector{i}, std::integral_constant<std::int64_t, 1>());
  if (i < value_dim) columns(PartVector{i, value_dim - i}, std::integral_constant<std::int64_t, 1>());
}

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::kernels {

HWY_EXPORT(unit_row);
HWY_EXPORT(unit_row_backward);
HWY_EXPORT(sigmoids);
HWY_EXPORT(subtract_from);
HWY_EXPORT(accumulate_row);
HWY_EXPORT(solve_down);
HWY_EXPORT(one_token);

namespace {

void prefetch(const float* row, std::int64_t size) {
  constexpr std::int64_t kLine = 64 / sizeof(float);
  for (std::int64_t i = 0; i < size; i += kLine) hwy::Prefetch(row + i);
}

// 1/sqrt(key_dim), which q^ has beside its unit length.
float query_factor(std::int64_t key_dim) { return 1.0f / std::sqrt(static_cast<float>(key_dim)); }

}  // namespace

std::int64_t DeltaChunk::room(const DeltaRuleExtents& e) {
  constexpr std::int64_t C = kDeltaChunk;
  return C * (6 * e.key_dim + 3 * e.value_dim + 2 * C + 1) + kDeltaSolveRows * e.value_dim;
}

DeltaChunk::DeltaChunk(const DeltaRuleExtents& e, float* memory)
    : key_dim(e.key_dim), value_dim(e.value_dim), width(e.decay_width()) {
  constexpr std::int64_t C = kDeltaChunk;
  const auto take = [&](std::int64_t size) { return std::exchange(memory, memory + size); };
  rows = take(2 * C * key_dim);
  reads = take(2 * C * key_dim);
  writes = take(C * key_dim);
  L = take(C * key_dim);
  pairs = take(2 * C * C);
  values = take(2 * C * value_dim);
  w = take(C * value_dim);
  left = take(kDeltaSolveRows * value_dim);
  beta = take(C);
}

void DeltaChunk::load_keys_and_queries(const Input& x, std::int64_t first, std::int64_t count, std::int64_t key_head) {
  n = count;
  const float factor = query_factor(key_dim);
  for (std::int64_t i = 0; i < n; ++i) {
    // A row lies far from the one before it, where no CPU expects it.
    const std::int64_t ahead = first + std::min(i + 8, n - 1);
    prefetch(at(x.k, ahead, key_head * key_dim), key_dim);
    prefetch(at(x.q, ahead, key_head * key_dim), key_dim);
    HWY_DYNAMIC_DISPATCH(unit_row)(key_dim, 1.0f, at(x.k, first + i, key_head * key_dim), rows + i * key_dim);
    HWY_DYNAMIC_DISPATCH(unit_row)(key_dim, factor, at(x.q, first + i, key_head * key_dim), rows + (n + i) * key_dim);
  }
}

void DeltaChunk::give_keys_and_queries(const Input& x, std::int64_t first, std::int64_t key_head, const float* d_rows,
                                       const DeltaRuleTensors<float>& gradients) const {
  const std::int64_t column = key_head * key_dim;
  const auto give = [&](float factor, const StridedRows<const float>& input, const float* unit, const float* d,
                        const StridedRows<float>& gradient) {
    if (gradient.data == nullptr) return;
    for (std::int64_t i = 0; i < n; ++i) HWY_DYNAMIC_DISPATCH(unit_row_backward)
    (key_dim, factor, at(input, first + i, column), unit + i * key_dim, d + i * key_dim,
     at(gradient, first + i, column));
  };
  give(1.0f, x.k, rows, d_rows, gradients.k);
  give(query_factor(key_dim), x.q, rows + n * key_dim, d_rows + n * key_dim, gradients.q);
}

void DeltaChunk::load_decay_and_beta(const Input& x, std::int64_t first, std::int64_t head) {
  for (std::int64_t i = 0; i < n; ++i) {
    std::copy_n(at(x.decay, first + i, head * width), width, L + i * width);
    prefetch(at(x.v, first + i, head * value_dim), value_dim);  // for the errors
    if (i > 0) HWY_DYNAMIC_DISPATCH(accumulate_row)(width, L + (i - 1) * width, L + i * width);
    beta[i] = *at(x.beta, first + i, head);
  }
  HWY_DYNAMIC_DISPATCH(sigmoids)(n, beta, beta);
}

void DeltaChunk::correct(const Input& x, std::int64_t first, std::int64_t head, const float* S, bool queries) {
  decayed_pairs(decayed(), pairs);
  const std::int64_t read_rows = queries ? 2 * n : n;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t k = i * key_dim, q = (n + i) * key_dim;
    times_decay(key_dim, width, rows + k, rows + q, L + i * width, nullptr, reads + k, reads + q);
  }
  for (std::int64_t i = 0; i < n; ++i)
    times_decay(key_dim, width, rows + i * key_dim, L_end(), L + i * width, writes + i * key_dim);
  if (S == nullptr) std::fill_n(values, read_rows * value_dim, 0.0f);
  else
    tile_product(Transpose::no, Transpose::no, read_rows, value_dim, key_dim, reads, key_dim, S, value_dim, 0.0f,
                 values, value_dim);
  for (std::int64_t i = 0; i < n; ++i) HWY_DYNAMIC_DISPATCH(subtract_from)
  (value_dim, at(x.v, first + i, head * value_dim), values + i * value_dim);
  for (std::int64_t block = 0; block < n; block += kDeltaSolveRows) {
    const std::int64_t count = std::min(kDeltaSolveRows, n - block);
    if (block > 0)
      tile_product(Transpose::no, Transpose::no, count, value_dim, block, pairs + block * n, n, w, value_dim, 0.0f,
                   left, value_dim);
    HWY_DYNAMIC_DISPATCH(solve_down)
    (count, value_dim, pairs + block * n + block, n, beta + block, block > 0 ? left : nullptr,
     values + block * value_dim, w + block * value_dim);
  }
}

void DeltaChunk::fade(const float* S, float* next) const {
  for (std::int64_t c = 0; c < key_dim; ++c)
    times_decay(value_dim, 1, S + c * value_dim, L_end() + (width > 1 ? c : 0), nullptr, next + c * value_dim);
}

void DeltaChunk::forward(const Input& x, std::int64_t first, std::int64_t head, const float* S, float* next,
                         const StridedRows<float>& out) {
  correct(x, first, head, S, true);
  float* o = values + n * value_dim;
  tile_product(Transpose::no, Transpose::no, n, value_dim, n, pairs + n * n, n, w, value_dim, 1.0f, o, value_dim);
  for (std::int64_t i = 0; i < n; ++i) std::copy_n(o + i * value_dim, value_dim, at(out, first + i, head * value_dim));
  if (next == nullptr) return;
  if (S != nullptr) fade(S, next);
  tile_product(Transpose::yes, Transpose::no, key_dim, value_dim, n, writes, key_dim, w, value_dim,
               S != nullptr ? 1.0f : 0.0f, next, value_dim);
}

void DeltaChunk::forward_token(const Input& x, std::int64_t row, std::int64_t head, const float* S, float* next,
                               const StridedRows<float>& out) {
  float* keeps = reads;
  std::fill_n(keeps, key_dim, 1.0f);
  times_decay(key_dim, width, keeps, L, nullptr, keeps);
  HWY_DYNAMIC_DISPATCH(one_token)
  (key_dim, value_dim, keeps, rows, rows + key_dim, at(x.v, row, head * value_dim), beta[0], S, next,
   at(out, row, head * value_dim));
}

}  // namespace qad::kernels
#endif
