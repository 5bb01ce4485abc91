#include "autograd/kernels/decayed_pairs.h"

#include <algorithm>

#include "autograd/kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/decayed_pairs.cpp"
#include <hwy/foreach_target.h>

#include "autograd/kernels/blas.h"
#include "autograd/kernels/scratch.h"
#include "autograd/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

// Both rows of k and q at once, whose exponentials are the same.
void times_decay_rows(std::int64_t dim, std::int64_t width, const float* k, const float* q, const float* plus,
                      const float* minus, float* k_out, float* q_out) {
  each_vector(dim, [&](auto at) HWY_ATTR {
    Vector exponent = width == 1 ? set(plus[0]) : at.load(plus);
    if (minus != nullptr) exponent = hn::Sub(exponent, width == 1 ? set(minus[0]) : at.load(minus));
    const Vector decay = exp(exponent);
    at.store(hn::Mul(at.load(k), decay), k_out);
    at.store(hn::Mul(at.load(q), decay), q_out);
  });
}

void times_decay_row(std::int64_t dim, std::int64_t width, const float* x, const float* plus, const float* minus,
                     float* out) {
  if (width == 1) {
    const Vector factor = exp(set(plus[0] - (minus != nullptr ? minus[0] : 0.0f)));
    each_vector(dim, [&](auto at) HWY_ATTR { at.store(hn::Mul(at.load(x), factor), out); });
  } else if (minus == nullptr) {
    each_vector(dim, [&](auto at) HWY_ATTR { at.store(hn::Mul(at.load(x), exp(at.load(plus))), out); });
  } else {
    each_vector(dim, [&](auto at)
                         HWY_ATTR { at.store(hn::Mul(at.load(x), exp(hn::Sub(at.load(plus), at.load(minus)))), out); });
  }
}

// Row i of both halves of pairs [2n, n] times exp(L_i - L_j), and 0 right of the diagonal (in the upper half on it
// too).
void decay_pair_rows(std::int64_t n, const float* L, float* pairs) {
  for (std::int64_t i = 0; i < n; ++i) {
    float *upper = pairs + i * n, *lower = pairs + (n + i) * n;
    each_vector(i + 1, [&](auto at) HWY_ATTR {
      const Vector decay = exp(hn::Sub(set(L[i]), at.load(L)));
      at.store(hn::Mul(at.load(upper), decay), upper);
      at.store(hn::Mul(at.load(lower), decay), lower);
    });
    for (std::int64_t j = i; j < n; ++j) upper[j] = 0.0f;
    for (std::int64_t j = i + 1; j < n; ++j) lower[j] = 0.0f;
  }
}

// The pairs of `count` tokens among themselves, channel by channel; pairs has `stride` from row to row. right
// [count, dim] is working memory: k_j times its decay so far, which costs a factor of at most one for each further
// token in place of an exponential for each pair.
void block_pairs(std::int64_t count, std::int64_t dim, const float* k, const float* q, const float* L, float* k_pairs,
                 float* q_pairs, std::int64_t stride, float* right) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float *k_i = k + i * dim, *q_i = q + i * dim, *L_i = L + i * dim;
    float* now = right + i * dim;  // the token's decay, until its own row takes the place
    if (i > 0)
      each_vector(dim, [&](auto at) HWY_ATTR { at.store(exp(hn::Sub(at.load(L_i), at.load(L_i - dim))), now); });
    for (std::int64_t j = 0; j < i; ++j) {
      float* right_j = right + j * dim;
      Vector of_k = zero(), of_q = zero();
      each_vector(dim, [&](auto at) HWY_ATTR {
        const Vector faded = hn::Mul(at.load(right_j), at.load(now));
        at.store(faded, right_j);
        of_k = hn::MulAdd(at.load(k_i), faded, of_k);
        of_q = hn::MulAdd(at.load(q_i), faded, of_q);
      });
      k_pairs[i * stride + j] = sum_of_lanes(of_k);
      q_pairs[i * stride + j] = sum_of_lanes(of_q);
    }
    Vector of_q = zero();
    each_vector(dim, [&](auto at) HWY_ATTR {
      const Vector own = at.load(k_i);
      at.store(own, now);
      of_q = hn::MulAdd(at.load(q_i), own, of_q);
    });
    k_pairs[i * stride + i] = 0.0f;
    q_pairs[i * stride + i] = sum_of_lanes(of_q);
  }
}

void block_pairs_backward(std::int64_t count, std::int64_t dim, const float* k, const float* q, const float* L,
                          const float* d_k_pairs, const float* d_q_pairs, std::int64_t stride, float* d_k_rows,
                          float* d_q_rows, float* d_keys) {
  each_vector(dim, [&](auto at) HWY_ATTR {
    Vector decay[kDecayBlock], d_key[kDecayBlock];  // from each token to the present one; by a pair's second factor
    for (std::int64_t i = 0; i < count; ++i) {
      const Vector k_i = at.load(k + i * dim), q_i = at.load(q + i * dim);
      const Vector keeps = i > 0 ? exp(hn::Sub(at.load(L + i * dim), at.load(L + (i - 1) * dim))) : zero();
      Vector d_k_i = at.load(d_k_rows + i * dim), d_q_i = at.load(d_q_rows + i * dim);
      for (std::int64_t j = 0; j < i; ++j) {
        decay[j] = hn::Mul(decay[j], keeps);
        const Vector right = hn::Mul(at.load(k + j * dim), decay[j]);
        const Vector of_k = set(d_k_pairs[i * stride + j]), of_q = set(d_q_pairs[i * stride + j]);
        d_k_i = hn::MulAdd(of_k, right, d_k_i);
        d_q_i = hn::MulAdd(of_q, right, d_q_i);
        d_key[j] = hn::MulAdd(hn::MulAdd(of_k, k_i, hn::Mul(of_q, q_i)), decay[j], d_key[j]);
      }
      const Vector own = set(d_q_pairs[i * stride + i]);
      decay[i] = set(1.0f);
      d_key[i] = hn::MulAdd(own, q_i, at.load(d_keys + i * dim));
      at.store(d_k_i, d_k_rows + i * dim);
      at.store(hn::MulAdd(own, k_i, d_q_i), d_q_rows + i * dim);
    }
    for (std::int64_t i = 0; i < count; ++i) at.store(d_key[i], d_keys + i * dim);
  });
}

// out += x·exp(plus - minus) for a row.
void add_times_decay_row(std::int64_t dim, const float* x, const float* plus, const float* minus, float* out) {
  each_vector(dim, [&](auto at) HWY_ATTR {
    at.store(hn::MulAdd(at.load(x), exp(hn::Sub(at.load(plus), at.load(minus))), at.load(out)), out);
  });
}

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::kernels {

HWY_EXPORT(times_decay_row);
HWY_EXPORT(times_decay_rows);
HWY_EXPORT(decay_pair_rows);
HWY_EXPORT(block_pairs);
HWY_EXPORT(block_pairs_backward);
HWY_EXPORT(add_times_decay_row);

namespace {

// Calls visit(first row, how many, k and q of these rows times their decay since the first of them [2·count, dim], the
// keys before it times theirs up to it [first, dim], room for the pairs of both [2·count, first]).
template <class Visit>
void each_block_with_left(const DecayedRows& x, Visit&& visit) {
  thread_local Scratch<float> scratch;
  float* up = scratch.get((2 * kDecayBlock + x.n) * x.dim + 2 * kDecayBlock * x.n);
  float* down = up + 2 * kDecayBlock * x.dim;
  float* pairs = down + x.n * x.dim;
  for (std::int64_t first = kDecayBlock; first < x.n; first += kDecayBlock) {
    const std::int64_t count = std::min(kDecayBlock, x.n - first);
    const float* origin = x.L + first * x.dim;
    for (std::int64_t i = 0; i < count; ++i) {
      const float* k = x.rows + (first + i) * x.dim;
      times_decay(x.dim, x.dim, k, k + x.n * x.dim, origin + i * x.dim, origin, up + i * x.dim,
                  up + (count + i) * x.dim);
    }
    for (std::int64_t j = 0; j < first; ++j)
      times_decay(x.dim, x.dim, x.rows + j * x.dim, origin, x.L + j * x.dim, down + j * x.dim);
    visit(first, count, up, down, pairs);
  }
}

}  // namespace

void times_decay(std::int64_t dim, std::int64_t width, const float* x, const float* plus, const float* minus,
                 float* out) {
  HWY_DYNAMIC_DISPATCH(times_decay_row)(dim, width, x, plus, minus, out);
}

void times_decay(std::int64_t dim, std::int64_t width, const float* k, const float* q, const float* plus,
                 const float* minus, float* k_out, float* q_out) {
  HWY_DYNAMIC_DISPATCH(times_decay_rows)(dim, width, k, q, plus, minus, k_out, q_out);
}

void decayed_pairs(const DecayedRows& x, float* pairs) {
  const std::int64_t n = x.n, dim = x.dim;
  if (x.width == 1) {
    tile_product(Transpose::no, Transpose::yes, 2 * n, n, dim, x.rows, dim, x.rows, dim, 0.0f, pairs, n);
    HWY_DYNAMIC_DISPATCH(decay_pair_rows)(n, x.L, pairs);
    return;
  }
  thread_local Scratch<float> scratch;
  float* right = scratch.get(kDecayBlock * dim);
  std::fill_n(pairs, 2 * n * n, 0.0f);
  for (std::int64_t first = 0; first < n; first += kDecayBlock) {
    float* at = pairs + first * n + first;
    HWY_DYNAMIC_DISPATCH(block_pairs)
    (std::min(kDecayBlock, n - first), dim, x.rows + first * dim, x.rows + (n + first) * dim, x.L + first * dim, at,
     at + n * n, n, right);
  }
  each_block_with_left(x, [&](std::int64_t first, std::int64_t count, const float* up, const float* down, float* left) {
    tile_product(Transpose::no, Transpose::yes, 2 * count, first, dim, up, dim, down, dim, 0.0f, left, first);
    for (std::int64_t i = 0; i < count; ++i)
      for (const std::int64_t half : {0, 1})
        std::copy_n(left + (half * count + i) * first, first, pairs + (half * n + first + i) * n);
  });
}

void decayed_pairs_backward(const DecayedRows& x, float* d_pairs, float* d_rows, float* d_keys) {
  const std::int64_t n = x.n, dim = x.dim;
  if (x.width == 1) {
    HWY_DYNAMIC_DISPATCH(decay_pair_rows)(n, x.L, d_pairs);
    tile_product(Transpose::no, Transpose::no, 2 * n, dim, n, d_pairs, n, x.rows, dim, 1.0f, d_rows, dim);
    tile_product(Transpose::yes, Transpose::no, n, dim, 2 * n, d_pairs, n, x.rows, dim, 1.0f, d_keys, dim);
    return;
  }
  for (std::int64_t first = 0; first < n; first += kDecayBlock) {
    const float* at = d_pairs + first * n + first;
    const std::int64_t k_row = first * dim, q_row = (n + first) * dim;
    HWY_DYNAMIC_DISPATCH(block_pairs_backward)
    (std::min(kDecayBlock, n - first), dim, x.rows + k_row, x.rows + q_row, x.L + k_row, at, at + n * n, n,
     d_rows + k_row, d_rows + q_row, d_keys + k_row);
  }
  thread_local Scratch<float> scratch;
  float* d_up = scratch.get((2 * kDecayBlock + n) * dim);
  float* d_down = d_up + 2 * kDecayBlock * dim;
  each_block_with_left(x, [&](std::int64_t first, std::int64_t count, const float* up, const float* down, float* left) {
    const float* origin = x.L + first * dim;
    for (std::int64_t i = 0; i < count; ++i)
      for (const std::int64_t half : {0, 1})
        std::copy_n(d_pairs + (half * n + first + i) * n, first, left + (half * count + i) * first);
    tile_product(Transpose::no, Transpose::no, 2 * count, dim, first, left, first, down, dim, 0.0f, d_up, dim);
    tile_product(Transpose::yes, Transpose::no, first, dim, 2 * count, left, first, up, dim, 0.0f, d_down, dim);
    for (std::int64_t i = 0; i < count; ++i)
      for (const std::int64_t half : {0, 1}) HWY_DYNAMIC_DISPATCH(add_times_decay_row)
    (dim, d_up + (half * count + i) * dim, origin + i * dim, origin, d_rows + (half * n + first + i) * dim);
    for (std::int64_t j = 0; j < first; ++j)
      HWY_DYNAMIC_DISPATCH(add_times_decay_row)(dim, d_down + j * dim, origin, x.L + j * dim, d_keys + j * dim);
  });
}

}  // namespace qad::kernels
#endif
