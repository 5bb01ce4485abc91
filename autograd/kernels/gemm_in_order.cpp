// A lane is a row of B: 16 of them are transposed, a few hundred columns at a time, into memory that stays in cache,
// and then multiplied with as many rows of A as there are.
#include "autograd/kernels/gemm_in_order.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <bit>
#include <type_traits>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/gemm_in_order.cpp"
#include <hwy/foreach_target.h>

#include "autograd/kernels/scratch.h"
#include "autograd/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

constexpr std::int64_t kGroup = 16;       // rows of B
constexpr std::int64_t kColumns = 256;    // of B at a time
constexpr int kTileRows = 6;              // of A: with two vectors of sums each, all the registers there are
constexpr std::int64_t kRowsOfPart = 96;  // of A, whose sums wait beside the columns

// 16 rows of B. Past the last stands the last again; nobody reads what comes of it.
template <class T>
struct Rows {
  Rows(const T* first, std::int64_t its_stride, std::int64_t its_count) : stride(its_stride), count(its_count) {
    for (std::int64_t i = 0; i < kGroup; ++i) row[i] = first + std::min(i, count - 1) * stride;
  }
  const T* row[kGroup];
  std::int64_t stride, count;
};

HWY_INLINE float as_float(float value) { return value; }
HWY_INLINE float as_float(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

template <class T>
HWY_INLINE void transpose_columns(const Rows<T>& b, std::int64_t begin, std::int64_t end, float* HWY_RESTRICT out) {
  for (std::int64_t column = begin; column < end; ++column)
    for (std::int64_t i = 0; i < kGroup; ++i) out[(column - begin) * kGroup + i] = as_float(b.row[i][column]);
}

#if HWY_TARGET == HWY_SCALAR

template <class T>
HWY_INLINE void transpose(const Rows<T>& b, std::int64_t begin, std::int64_t end, std::int64_t /*ahead*/,
                          float* HWY_RESTRICT out) {
  transpose_columns(b, begin, end, out);
}

#else

using Square = hn::CappedTag<float, 8>;
constexpr std::int64_t kSquare = static_cast<std::int64_t>(HWY_MIN(HWY_LANES(float), 8));

HWY_INLINE hn::Vec<Square> load_floats(const float* from) { return hn::LoadU(Square(), from); }
HWY_INLINE hn::Vec<Square> load_floats(const std::uint16_t* from) {
  const hn::RebindToUnsigned<Square> bits;
  const hn::Rebind<std::uint16_t, Square> halves;
  return hn::BitCast(Square(), hn::ShiftLeft<16>(hn::PromoteTo(bits, hn::LoadU(halves, from))));
}

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

// Columns [column, column + kSquare) of rows [first, first + kSquare) of b, a vector each.
template <class T>
HWY_INLINE void transpose_square(const Rows<T>& b, std::int64_t first, std::int64_t column, hn::Vec<Square>* v) {
  for (std::int64_t i = 0; i < kSquare; ++i) v[i] = load_floats(b.row[first + i] + column);
  for (std::int64_t i = 0; i < kSquare; i += 4) transpose_blocks(v + i);
  if constexpr (kSquare == 8) {
    for (std::int64_t i = 0; i < 4; ++i) {
      const hn::Vec<Square> left = v[i], right = v[i + 4];
      v[i] = hn::ConcatLowerLower(Square(), right, left);
      v[i + 4] = hn::ConcatUpperUpper(Square(), right, left);
    }
  }
}

// Columns [begin, end) of b as rows of 16 floats. What comes after them, `ahead` elements on, is asked for meanwhile:
// so many rows at a time no prefetcher follows.
template <class T>
HWY_INLINE void transpose(const Rows<T>& b, std::int64_t begin, std::int64_t end, std::int64_t ahead,
                          float* HWY_RESTRICT out) {
  constexpr std::int64_t kLine = 64 / sizeof(T);
  std::int64_t column = begin;
  for (; column + kSquare <= end; column += kSquare) {
    if (column % kLine == 0)
      for (const T* row : b.row) hwy::Prefetch(row + column + ahead);
    for (std::int64_t first = 0; first < kGroup; first += kSquare) {
      hn::Vec<Square> v[kSquare];
      transpose_square(b, first, column, v);
      for (std::int64_t i = 0; i < kSquare; ++i)
        hn::StoreU(v[i], Square(), out + (column - begin + i) * kGroup + first);
    }
  }
  transpose_columns(b, column, end, out + (column - begin) * kGroup);
}

// A single row of A: sums [16] of whole squares of columns, which go from registers to the sums at once. Returns how
// many columns that are.
template <class T>
HWY_INLINE std::int64_t multiply_squares(std::int64_t k, const float* HWY_RESTRICT a, const Rows<T>& b,
                                         float* HWY_RESTRICT sums) {
  constexpr std::int64_t kHalves = kGroup / kSquare, kLine = 64 / sizeof(T), kAhead = 32 * kLine;
  hn::Vec<Square> total[kHalves];
  for (auto& half : total) half = hn::Zero(Square());
  std::int64_t column = 0;
  for (; column + kSquare <= k; column += kSquare) {
    if (column % kLine == 0)
      for (const T* row : b.row) hwy::Prefetch(row + column + kAhead);
    for (std::int64_t half = 0; half < kHalves; ++half) {
      hn::Vec<Square> v[kSquare];
      transpose_square(b, half * kSquare, column, v);
      for (std::int64_t i = 0; i < kSquare; ++i)
        total[half] = hn::MulAdd(hn::Set(Square(), a[column + i]), v[i], total[half]);
    }
  }
  for (std::int64_t half = 0; half < kHalves; ++half) hn::StoreU(total[half], Square(), sums + half * kSquare);
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

// One group of B's rows times at most kRowsOfPart rows of A.
template <class T>
HWY_INLINE void multiply_group(std::int64_t m, std::int64_t k, const float* a, std::int64_t lda, const Rows<T>& b,
                               float* c, std::int64_t ldc) {
  alignas(64) float columns[kColumns * kGroup];
  alignas(64) float sums[kRowsOfPart * kGroup];
  std::fill_n(sums, m * kGroup, 0.0f);
  std::int64_t begin = 0;
#if HWY_TARGET != HWY_SCALAR
  if (m == 1) begin = multiply_squares(k, a, b, sums);
#endif
  for (; begin < k; begin += kColumns) {
    const std::int64_t count = std::min(kColumns, k - begin);
    const std::int64_t ahead = begin + kColumns < k ? kColumns : kGroup * b.stride - begin;  // the next group's first
    transpose(b, begin, begin + count, ahead, columns);
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

void multiply_floats(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda, const float* b,
                     std::int64_t ldb, float* c, std::int64_t ldc) {
  multiply_group(m, k, a, lda, Rows<float>(b, ldb, n), c, ldc);
}

void multiply_bf16(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda,
                   const std::uint16_t* b, std::int64_t ldb, float* c, std::int64_t ldc) {
  multiply_group(m, k, a, lda, Rows<std::uint16_t>(b, ldb, n), c, ldc);
}

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::kernels {

HWY_EXPORT(multiply_floats);
HWY_EXPORT(multiply_bf16);

namespace {

constexpr std::int64_t kGroup = 16, kRowsOfPart = 96;

// Calls multiply(first row of A, rows, first row of B, rows) for pieces of the product, on all threads.
template <class Multiply>
void for_pieces(std::int64_t m, std::int64_t n, std::int64_t k, Multiply&& multiply) {
  constexpr std::int64_t kPiece = 1 << 18;  // multiply-adds; a few rows take as long as four, since B has to be read
  const std::int64_t parts = (m + kRowsOfPart - 1) / kRowsOfPart, groups = (n + kGroup - 1) / kGroup;
  const std::int64_t of_group = std::clamp<std::int64_t>(m, 4, kRowsOfPart) * kGroup * std::max<std::int64_t>(1, k);
  parallel_for(parts * groups, std::max<std::int64_t>(1, kPiece / of_group), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t piece = begin; piece < end; ++piece) {
      const std::int64_t row = piece / groups * kRowsOfPart, col = piece % groups * kGroup;
      multiply(row, std::min(kRowsOfPart, m - row), col, std::min(kGroup, n - col));
    }
  });
}

}  // namespace

void gemm_in_order(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda, const float* b,
                   std::int64_t ldb, float* c, std::int64_t ldc) {
  QAD_ASSERT(lda >= k && ldb >= k && ldc >= n);
  for_pieces(m, n, k, [&](std::int64_t row, std::int64_t rows, std::int64_t col, std::int64_t cols) {
    HWY_DYNAMIC_DISPATCH(multiply_floats)
    (rows, cols, k, a + row * lda, lda, b + col * ldb, ldb, c + row * ldc + col, ldc);
  });
}

void gemm_in_order_bf16(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda,
                        const std::uint16_t* b, std::int64_t ldb, float* c, std::int64_t ldc) {
  QAD_ASSERT(lda >= k && ldb >= k && ldc >= n);
  for_pieces(m, n, k, [&](std::int64_t row, std::int64_t rows, std::int64_t col, std::int64_t cols) {
    HWY_DYNAMIC_DISPATCH(multiply_bf16)
    (rows, cols, k, a + row * lda, lda, b + col * ldb, ldb, c + row * ldc + col, ldc);
  });
}

}  // namespace qad::kernels
#endif
