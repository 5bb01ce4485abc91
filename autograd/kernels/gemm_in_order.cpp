// B as plain floats or BF16, row-major as it lies in memory.
#include "autograd/kernels/gemm_in_order.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <bit>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/gemm_in_order.cpp"
#include <hwy/foreach_target.h>

#include "autograd/kernels/gemm_in_order-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

HWY_INLINE float as_float(float value) { return value; }
HWY_INLINE float as_float(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

#if HWY_TARGET != HWY_SCALAR

// Columns of kSquare rows, that of `row` being the first.
template <class Use>
HWY_INLINE void for_columns_of(const float* const* row, std::int64_t column, const Use& use) {
  hn::Vec<Square> v[kSquare];
  for (std::int64_t i = 0; i < kSquare; ++i) v[i] = hn::LoadU(Square(), row[i] + column);
  transpose_square(v);
  for (std::int64_t i = 0; i < kSquare; ++i) use(i, v[i]);
}
// Two columns at a time are transposed, as the halves of one element.
template <class Use>
HWY_INLINE void for_columns_of(const std::uint16_t* const* row, std::int64_t column, const Use& use) {
  const hn::RebindToUnsigned<Square> bits;
  const hn::Repartition<std::uint16_t, Square> halves;
  hn::Vec<Square> v[kSquare];
  for (std::int64_t i = 0; i < kSquare; ++i) v[i] = hn::BitCast(Square(), hn::LoadU(halves, row[i] + column));
  transpose_square(v);
  const auto upper = hn::Set(bits, 0xffff0000u);
  for (std::int64_t i = 0; i < kSquare; ++i) {
    const auto both = hn::BitCast(bits, v[i]);
    use(2 * i, hn::BitCast(Square(), hn::ShiftLeft<16>(both)));
    use(2 * i + 1, hn::BitCast(Square(), hn::And(both, upper)));
  }
}

#endif

// 16 rows of B. Past the last stands the last again.
template <class T>
struct Rows {
  Rows(const T* first, std::int64_t its_stride, std::int64_t its_count) : stride(its_stride), count(its_count) {
    for (std::int64_t i = 0; i < kGroup; ++i) row[i] = first + std::min(i, count - 1) * stride;
  }

  HWY_INLINE std::int64_t multiply_one([[maybe_unused]] std::int64_t k, [[maybe_unused]] const float* a,
                                       [[maybe_unused]] float* sums) const {
#if HWY_TARGET == HWY_SCALAR
    return 0;
#else
    return multiply_squares(*this, k, a, sums);
#endif
  }

  // What comes after these columns is asked for meanwhile: so many rows at a time no prefetcher follows.
  HWY_INLINE void expand(std::int64_t begin, std::int64_t end, [[maybe_unused]] std::int64_t k, float* out) const {
    std::int64_t column = begin;
#if HWY_TARGET != HWY_SCALAR
    const std::int64_t ahead = begin + kColumns < k ? kColumns : kGroup * stride - begin;  // the next group's first
    column = expand_squares(*this, begin, end, ahead, out);
#endif
    for (; column < end; ++column)
      for (std::int64_t i = 0; i < kGroup; ++i) out[(column - begin) * kGroup + i] = as_float(row[i][column]);
  }

#if HWY_TARGET != HWY_SCALAR
  static constexpr std::int64_t kStep = kSquare * static_cast<std::int64_t>(sizeof(float) / sizeof(T));
  // The processor's own prefetchers follow 16 rows well enough, a little help given; far ahead it hinders them.
  [[nodiscard]] HWY_INLINE std::int64_t ahead_of(std::int64_t column, std::int64_t k) const {
    constexpr std::int64_t kAhead = 4 * kLine;
    return column + kAhead < k ? kAhead : kGroup * stride + kAhead - k;
  }
  HWY_INLINE void prepare(std::int64_t column, std::int64_t ahead) const {
    if (column % kLine != 0) return;
    for (const T* one : row) hwy::Prefetch(one + column + ahead);
  }
  template <class Use>
  HWY_INLINE void for_columns(std::int64_t first, std::int64_t column, const Use& use) const {
    for_columns_of(row + first, column, use);
  }
#endif

  static constexpr std::int64_t kLine = 64 / sizeof(T);
  const T* row[kGroup];
  std::int64_t stride, count;
};

void multiply_floats(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda, const float* b,
                     std::int64_t ldb, float* c, std::int64_t ldc) {
  multiply_group(Rows<float>(b, ldb, n), m, k, a, lda, c, ldc);
}

void multiply_bf16(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda,
                   const std::uint16_t* b, std::int64_t ldb, float* c, std::int64_t ldc) {
  multiply_group(Rows<std::uint16_t>(b, ldb, n), m, k, a, lda, c, ldc);
}

using Pairs = hn::RebindToUnsigned<Lanes>;

HWY_INLINE hn::Vec<Lanes> lower_half(hn::Vec<Pairs> both) { return hn::BitCast(Lanes(), hn::ShiftLeft<16>(both)); }
HWY_INLINE hn::Vec<Lanes> upper_half(hn::Vec<Pairs> both) {
  return hn::BitCast(Lanes(), hn::And(both, hn::Set(Pairs(), 0xffff0000u)));
}

// A group of InterleavedBF16.
struct InterleavedGroup {
  static HWY_INLINE std::int64_t multiply_one(std::int64_t /*k*/, const float* /*a*/, float* /*sums*/) { return 0; }
  // `begin` is even.
  HWY_INLINE void expand(std::int64_t begin, std::int64_t end, std::int64_t /*k*/, float* out) const {
    for (std::int64_t column = begin; column < end; column += 2, out += 2 * kGroup)
      for (std::int64_t row = 0; row < kGroup; row += kWidth) {
        const auto both = hn::LoadU(Pairs(), elements + column / 2 * kGroup + row);
        hn::StoreU(lower_half(both), Lanes(), out + row);
        if (column + 1 < end) hn::StoreU(upper_half(both), Lanes(), out + kGroup + row);
      }
  }

  const std::uint32_t* elements;
  std::int64_t count;
};

// kGroups groups times a row of A, in registers: each sum waits for the one before it, so several go side by side.
template <int kGroups>
HWY_INLINE void multiply_groups(std::int64_t k, const float* HWY_RESTRICT a, const std::uint32_t* HWY_RESTRICT first,
                                std::int64_t stride, float* HWY_RESTRICT sums) {
  hn::Vec<Lanes> total[kGroups][kVectors];
  for (auto& group : total)
    for (auto& vector : group) vector = hn::Zero(Lanes());
  const auto load = [&](int g, int v) HWY_ATTR { return hn::LoadU(Pairs(), first + g * stride + v * kWidth); };
  for (std::int64_t column = 0; column + 1 < k; column += 2, first += kGroup) {
    const auto x = hn::Set(Lanes(), a[column]), next_x = hn::Set(Lanes(), a[column + 1]);
    for (int g = 0; g < kGroups; ++g)
      for (int v = 0; v < kVectors; ++v) {
        const auto both = load(g, v);
        total[g][v] = hn::MulAdd(x, lower_half(both), total[g][v]);
        total[g][v] = hn::MulAdd(next_x, upper_half(both), total[g][v]);
      }
  }
  for (int g = 0; g < kGroups; ++g)
    for (int v = 0; v < kVectors; ++v) {
      if (k % 2 != 0) total[g][v] = hn::MulAdd(hn::Set(Lanes(), a[k - 1]), lower_half(load(g, v)), total[g][v]);
      hn::StoreU(total[g][v], Lanes(), sums + g * kGroup + v * kWidth);
    }
}

void multiply_interleaved(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda,
                          const std::uint32_t* b, std::int64_t stride, float* c, std::int64_t ldc) {
  if (m == 1 && n == kInOrderTogether * kGroup) return multiply_groups<kInOrderTogether>(k, a, b, stride, c);
  for (; n > 0; n -= kGroup, b += stride, c += kGroup) {
    const std::int64_t count = std::min(kGroup, n);
    if (m > 1) {
      multiply_group(InterleavedGroup{b, count}, m, k, a, lda, c, ldc);
      continue;
    }
    alignas(64) float sums[kGroup];
    multiply_groups<1>(k, a, b, stride, sums);
    std::copy_n(sums, count, c);
  }
}

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::kernels {

HWY_EXPORT(multiply_floats);
HWY_EXPORT(multiply_bf16);
HWY_EXPORT(multiply_interleaved);

void for_pieces_in_order(
    std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t width,
    const std::function<void(std::int64_t row, std::int64_t rows, std::int64_t col, std::int64_t cols)>& multiply) {
  constexpr std::int64_t kPiece = 1 << 18;  // multiply-adds; a few rows take as long as four, since B has to be read
  const std::int64_t parts = (m + kInOrderPart - 1) / kInOrderPart, groups = (n + width - 1) / width;
  const std::int64_t of_group = std::clamp<std::int64_t>(m, 4, kInOrderPart) * width * std::max<std::int64_t>(1, k);
  parallel_for(parts * groups, std::max<std::int64_t>(1, kPiece / of_group), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t piece = begin; piece < end; ++piece) {
      const std::int64_t row = piece / groups * kInOrderPart, col = piece % groups * width;
      multiply(row, std::min(kInOrderPart, m - row), col, std::min(width, n - col));
    }
  });
}

void gemm_in_order(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda, const float* b,
                   std::int64_t ldb, float* c, std::int64_t ldc) {
  QAD_ASSERT(lda >= k && ldb >= k && ldc >= n);
  for_pieces_in_order(m, n, k, kInOrderGroup,
                      [&](std::int64_t row, std::int64_t rows, std::int64_t col, std::int64_t cols) {
                        HWY_DYNAMIC_DISPATCH(multiply_floats)
                        (rows, cols, k, a + row * lda, lda, b + col * ldb, ldb, c + row * ldc + col, ldc);
                      });
}

void gemm_in_order_bf16(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda,
                        const std::uint16_t* b, std::int64_t ldb, float* c, std::int64_t ldc) {
  QAD_ASSERT(lda >= k && ldb >= k && ldc >= n);
  for_pieces_in_order(m, n, k, kInOrderGroup,
                      [&](std::int64_t row, std::int64_t rows, std::int64_t col, std::int64_t cols) {
                        HWY_DYNAMIC_DISPATCH(multiply_bf16)
                        (rows, cols, k, a + row * lda, lda, b + col * ldb, ldb, c + row * ldc + col, ldc);
                      });
}

void interleave_bf16(std::int64_t n, std::int64_t k, const std::uint16_t* b, std::int64_t ldb,
                     std::uint32_t* elements) {
  const InterleavedBF16 shape{n, k, elements};
  parallel_for((n + kInOrderGroup - 1) / kInOrderGroup, std::max<std::int64_t>(1, 4096 / std::max<std::int64_t>(1, k)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t group = begin; group < end; ++group) {
                   std::uint32_t* const to = elements + group * shape.group_size();
                   const std::int64_t first = group * kInOrderGroup, rows = std::min(kInOrderGroup, n - first);
                   if (rows < kInOrderGroup) std::fill_n(to, shape.group_size(), 0u);
                   for (std::int64_t column = 0; column < k; column += 2)
                     for (std::int64_t row = 0; row < rows; ++row) {
                       const std::uint16_t* const from = b + (first + row) * ldb + column;
                       const std::uint32_t upper = column + 1 < k ? from[1] : 0;
                       to[column / 2 * kInOrderGroup + row] = upper << 16 | from[0];
                     }
                 }
               });
}

void gemm_in_order_interleaved(std::int64_t m, const InterleavedBF16& b, const float* a, std::int64_t lda, float* c,
                               std::int64_t ldc) {
  QAD_ASSERT(lda >= b.k && ldc >= b.n);
  const std::int64_t width = m == 1 ? kInOrderTogether * kInOrderGroup : kInOrderGroup;
  for_pieces_in_order(m, b.n, b.k, width,
                      [&](std::int64_t row, std::int64_t rows, std::int64_t col, std::int64_t cols) {
                        HWY_DYNAMIC_DISPATCH(multiply_interleaved)
                        (rows, cols, b.k, a + row * lda, lda, b.elements + col / kInOrderGroup * b.group_size(),
                         b.group_size(), c + row * ldc + col, ldc);
                      });
}

}  // namespace qad::kernels
#endif
