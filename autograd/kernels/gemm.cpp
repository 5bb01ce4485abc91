#include "autograd/kernels/gemm.h"

#include <algorithm>
#include <limits>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/kernels/blas.h"

namespace qad::kernels {
namespace {

struct Tiling {
  std::int64_t rows, cols;  // of a tile of C
};

std::int64_t divide_up(std::int64_t size, std::int64_t by) { return (size + by - 1) / by; }

// How many tiles a product deserves: four for what a layer of a small model multiplies in a few milliseconds,
// more for what could keep many cores busy. Every tile packs its own strips of A and B, so few are better.
std::int64_t wanted_tiles(std::int64_t multiply_adds) {
  constexpr std::int64_t kSmall = std::int64_t{1} << 20;  // takes about as long as it takes to start the threads
  constexpr std::int64_t kTwo = std::int64_t{1} << 27;
  constexpr std::int64_t kLarge = std::int64_t{1} << 29;
  if (multiply_adds <= kSmall) return 1;
  return multiply_adds <= kTwo ? 2 : std::max<std::int64_t>(4, multiply_adds / kLarge);
}

// A function of the extents alone: the bits of C follow from it. Strips of at least 256 rows, as wide as C, are what
// oneDNN runs fastest when the operands come from memory (512 x 1536: 205 GFLOP/s, 256 x 512: 200, 512 x 256: 187,
// 256 x 256: 182, 1024 x 64: 151; two threads, Zen 4); columns are cut where strips are flat already.
Tiling choose_tiling(std::int64_t m, std::int64_t n, std::int64_t k) {
  constexpr std::int64_t kRows = 256;
  const std::int64_t wanted = wanted_tiles(m * n * k);
  std::int64_t row_parts = 1, col_parts = 1;
  while (row_parts * col_parts < wanted) {
    const std::int64_t rows = m / row_parts, cols = n / col_parts;
    const bool flat = rows <= 2 * kRows && cols > 4 * rows;
    const bool first_cut = row_parts * col_parts == 1;
    if (!flat && rows >= (first_cut ? 64 : 2 * kRows)) row_parts *= 2;
    else if (cols >= (first_cut ? 128 : 2048)) col_parts *= 2;
    else break;
  }
  return {divide_up(divide_up(m, row_parts), 16) * 16, divide_up(divide_up(n, col_parts), 64) * 64};
}

// Calls product(row, col, rows, cols) for every tile of C.
template <class Product>
void for_tiles(std::int64_t m, std::int64_t n, std::int64_t k, Product&& product) {
  const Tiling tile = choose_tiling(m, n, k);
  const std::int64_t tile_cols = divide_up(n, tile.cols);
  parallel_for(divide_up(m, tile.rows) * tile_cols, 1, [&](std::int64_t index, std::int64_t) {
    const std::int64_t row = index / tile_cols * tile.rows;
    const std::int64_t col = index % tile_cols * tile.cols;
    product(row, col, std::min(tile.rows, m - row), std::min(tile.cols, n - col));
  });
}

void zero(std::int64_t m, std::int64_t n, float* c, std::int64_t ldc) {
  for (std::int64_t row = 0; row < m; ++row) std::fill_n(c + row * ldc, n, 0.0f);
}

// Calls product(rows, cols, a, b, c) for every tile of C, with the parts of A and B that it needs.
template <class T, class Product>
void multiply_tiles(Transpose transpose_a, Transpose transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                    const T* a, std::int64_t lda, const T* b, std::int64_t ldb, bool accumulate, float* c,
                    std::int64_t ldc, Product&& product) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    if (!accumulate) zero(m, n, c, ldc);
    return;
  }
  QAD_ASSERT(std::max({m, n, k, lda, ldb, ldc}) <= std::numeric_limits<std::int32_t>::max());
  QAD_ASSERT(lda >= (transpose_a == Transpose::no ? k : m) && ldb >= (transpose_b == Transpose::no ? n : k) &&
             ldc >= n);
  for_tiles(m, n, k, [&](std::int64_t row, std::int64_t col, std::int64_t rows, std::int64_t cols) {
    product(rows, cols, a + (transpose_a == Transpose::no ? row * lda : row),
            b + (transpose_b == Transpose::no ? col : col * ldb), c + row * ldc + col);
  });
}

}  // namespace

void gemm(Transpose transpose_a, Transpose transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
          std::int64_t lda, const float* b, std::int64_t ldb, bool accumulate, float* c, std::int64_t ldc) {
  multiply_tiles(transpose_a, transpose_b, m, n, k, a, lda, b, ldb, accumulate, c, ldc,
                 [&](std::int64_t rows, std::int64_t cols, const float* from_a, const float* from_b, float* to) {
                   tile_product(transpose_a, transpose_b, rows, cols, k, from_a, lda, from_b, ldb,
                                accumulate ? 1.0f : 0.0f, to, ldc);
                 });
}

void gemm_bf16(Transpose transpose_a, Transpose transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
               const std::uint16_t* a, std::int64_t lda, const std::uint16_t* b, std::int64_t ldb, bool accumulate,
               float* c, std::int64_t ldc) {
  using Bits = const std::uint16_t*;
  multiply_tiles(transpose_a, transpose_b, m, n, k, a, lda, b, ldb, accumulate, c, ldc,
                 [&](std::int64_t rows, std::int64_t cols, Bits from_a, Bits from_b, float* to) {
                   tile_product_bf16(transpose_a, transpose_b, rows, cols, k, from_a, lda, from_b, ldb, accumulate, to,
                                     ldc);
                 });
}

}  // namespace qad::kernels
