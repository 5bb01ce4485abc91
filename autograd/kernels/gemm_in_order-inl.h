// The inner loops of products in order of k (gemm_in_order.h), for whatever B is kept as; compiled once for each
// instruction set, like simd-inl.h.
//
// A lane is a row of B: 16 of them are transposed, a few hundred columns at a time, into memory that stays in cache,
// and then multiplied with as many rows of A as there are. A source of 16 rows has
//     std::int64_t multiply_one(k, a, sums)    the first columns times a single row of A, which go from registers to
//     the
//                                              sums [16] at once; returns how many columns those were
//     void expand(begin, end, k, out)          columns [begin, end) as rows of 16 floats; k: where the columns end
//     std::int64_t count                       rows that are there; of others nobody reads what comes
#if defined(QAD_AUTOGRAD_KERNELS_GEMM_IN_ORDER_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef QAD_AUTOGRAD_KERNELS_GEMM_IN_ORDER_INL_H_
#undef QAD_AUTOGRAD_KERNELS_GEMM_IN_ORDER_INL_H_
#else
#define QAD_AUTOGRAD_KERNELS_GEMM_IN_ORDER_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "autograd/kernels/gemm_in_order.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr std::int64_t kGroup = kInOrderGroup;
constexpr std::int64_t kColumns = 256;  // of B at a time
constexpr int kTileRows = 6;            // of A: with two vectors of sums each, all the registers there are

#if HWY_TARGET != HWY_SCALAR

#if HWY_TARGET == HWY_AVX3
using Square = hn::CappedTag<float, 16>;
constexpr std::int64_t kSquare = 16;
#else
using Square = hn::CappedTag<float, 8>;
constexpr std::int64_t kSquare = static_cast<std::int64_t>(HWY_MIN(HWY_LANES(float), 8));
#endif

// Four rows to columns, within each 128 bits.
HWY_INLINE void transpose_blocks(hn::Vec<Square>* v) {
  const hn::RepartitionToWide<Square> wide;
  const auto t0 = hn::BitCast(wide, hn::InterleaveLower(Square(), v[0], v[1]));
  const auto t2 = hn::BitCast(wide, hn::InterleaveLower(Square(), v[2], v[3]));
  const auto t1 = hn::BitCast(wide, hn::InterleaveUpper(Square(), v[0], v[1]));
  const auto t3 = hn::BitCast(wide, hn::InterleaveUpper(Square(), v[2], v[3]));
  v[0] = hn::BitCast(Square(), hn::InterleaveLower(wide, t0, t2));
  v[1] = hn::BitCast(Square(), hn::InterleaveUpper(wide, t0, t2));
  v[2] = hn::BitCast(Square(), hn::InterleaveLower(wide, t1, t3));
  v[3] = hn::BitCast(Square(), hn::InterleaveUpper(wide, t1, t3));
}

// Rows to columns, of a square of vectors.
HWY_INLINE void transpose_square(hn::Vec<Square>* v) {
  for (std::int64_t i = 0; i < kSquare; i += 4) transpose_blocks(v + i);
  if constexpr (kSquare == 8) {
    for (std::int64_t i = 0; i < 4; ++i) {
      const hn::Vec<Square> left = v[i], right = v[i + 4];
      v[i] = hn::ConcatLowerLower(Square(), right, left);
      v[i + 4] = hn::ConcatUpperUpper(Square(), right, left);
    }
  }
#if HWY_TARGET == HWY_AVX3
  // Highway has no name for moving 128 bits between two vectors.
  for (std::int64_t i = 0; i < 4; ++i) {
    const __m512 a = v[i].raw, b = v[i + 4].raw, c = v[i + 8].raw, d = v[i + 12].raw;
    const __m512 even_ab = _mm512_shuffle_f32x4(a, b, 0x88), odd_ab = _mm512_shuffle_f32x4(a, b, 0xdd);
    const __m512 even_cd = _mm512_shuffle_f32x4(c, d, 0x88), odd_cd = _mm512_shuffle_f32x4(c, d, 0xdd);
    v[i].raw = _mm512_shuffle_f32x4(even_ab, even_cd, 0x88);
    v[i + 4].raw = _mm512_shuffle_f32x4(odd_ab, odd_cd, 0x88);
    v[i + 8].raw = _mm512_shuffle_f32x4(even_ab, even_cd, 0xdd);
    v[i + 12].raw = _mm512_shuffle_f32x4(odd_ab, odd_cd, 0xdd);
  }
#endif
}

// A source whose rows lie by themselves is read by squares of kStep columns: prepare(column, ahead) is called before
// each, and may ask for what lies `ahead` columns further (for a single row of A ahead_of(column, k));
// for_columns(first, column, use) calls use(i, v) with column + i of rows [first, first + kSquare), in order of i. Both
// functions return how far squares have come.
template <class Source>
HWY_INLINE std::int64_t multiply_squares(const Source& b, std::int64_t k, const float* HWY_RESTRICT a,
                                         float* HWY_RESTRICT sums) {
  constexpr std::int64_t kHalves = kGroup / kSquare;
  hn::Vec<Square> total[kHalves];
  for (auto& half : total) half = hn::Zero(Square());
  std::int64_t column = 0;
  for (; column + Source::kStep <= k; column += Source::kStep) {
    b.prepare(column, b.ahead_of(column, k));
    for (std::int64_t half = 0; half < kHalves; ++half)
      b.for_columns(half * kSquare, column, [&](std::int64_t i, hn::Vec<Square> v) HWY_ATTR {
        total[half] = hn::MulAdd(hn::Set(Square(), a[column + i]), v, total[half]);
      });
  }
  for (std::int64_t half = 0; half < kHalves; ++half) hn::StoreU(total[half], Square(), sums + half * kSquare);
  return column;
}
template <class Source>
HWY_INLINE std::int64_t expand_squares(const Source& b, std::int64_t begin, std::int64_t end, std::int64_t ahead,
                                       float* HWY_RESTRICT out) {
  std::int64_t column = begin;
  for (; column + Source::kStep <= end; column += Source::kStep) {
    b.prepare(column, ahead);
    for (std::int64_t first = 0; first < kGroup; first += kSquare)
      b.for_columns(first, column, [&](std::int64_t i, hn::Vec<Square> v) HWY_ATTR {
        hn::StoreU(v, Square(), out + (column - begin + i) * kGroup + first);
      });
  }
  return column;
}

#endif

using Lanes = hn::CappedTag<float, kGroup>;
constexpr std::int64_t kWidth = static_cast<std::int64_t>(HWY_MIN(HWY_LANES(float), kGroup));
constexpr int kVectors = static_cast<int>(kGroup / kWidth);

// sums [kRows][16] += a [kRows, count]·columns [count][16]
template <int kRows>
HWY_INLINE void add_products(std::int64_t count, const float* HWY_RESTRICT a, std::int64_t lda,
                             const float* HWY_RESTRICT columns, float* HWY_RESTRICT sums) {
  hn::Vec<Lanes> total[kRows][kVectors];
  for (int m = 0; m < kRows; ++m)
    for (int v = 0; v < kVectors; ++v) total[m][v] = hn::LoadU(Lanes(), sums + m * kGroup + v * kWidth);
  for (std::int64_t p = 0; p < count; ++p, columns += kGroup) {
    hn::Vec<Lanes> b[kVectors];
    for (int v = 0; v < kVectors; ++v) b[v] = hn::LoadU(Lanes(), columns + v * kWidth);
    for (int m = 0; m < kRows; ++m) {
      const auto x = hn::Set(Lanes(), a[m * lda + p]);
      for (int v = 0; v < kVectors; ++v) total[m][v] = hn::MulAdd(x, b[v], total[m][v]);
    }
  }
  for (int m = 0; m < kRows; ++m)
    for (int v = 0; v < kVectors; ++v) hn::StoreU(total[m][v], Lanes(), sums + m * kGroup + v * kWidth);
}

// One group of B's rows times at most kInOrderPart rows of A.
template <class Source>
HWY_INLINE void multiply_group(const Source& b, std::int64_t m, std::int64_t k, const float* a, std::int64_t lda,
                               float* c, std::int64_t ldc) {
  alignas(64) float columns[kColumns * kGroup];
  alignas(64) float sums[kInOrderPart * kGroup];
  std::fill_n(sums, m * kGroup, 0.0f);
  std::int64_t begin = m == 1 ? b.multiply_one(k, a, sums) : 0;
  for (; begin < k; begin += kColumns) {
    const std::int64_t count = std::min(kColumns, k - begin);
    b.expand(begin, begin + count, k, columns);
    std::int64_t row = 0;
    const auto add = [&](auto rows) HWY_ATTR {
      add_products<decltype(rows)::value>(count, a + row * lda + begin, lda, columns, sums + row * kGroup);
      row += rows;
    };
    while (row + kTileRows <= m) add(std::integral_constant<int, kTileRows>());
    if (row + 4 <= m) add(std::integral_constant<int, 4>());
    if (row + 2 <= m) add(std::integral_constant<int, 2>());
    if (row + 1 <= m) add(std::integral_constant<int, 1>());
  }
  for (std::int64_t row = 0; row < m; ++row) std::copy_n(sums + row * kGroup, b.count, c + row * ldc);
}

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
