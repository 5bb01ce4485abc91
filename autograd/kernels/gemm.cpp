#include "autograd/kernels/gemm.h"

#include <algorithm>
#include <limits>

#include "autograd/core/error.h"
#include "autograd/core/parallel.h"
#include "autograd/kernels/blas.h"

namespace qad::kernels {
namespace {

struct Tiling {
  std::int64_t rows, cols;  ///< of a tile of C
};

/// How many parts of at most `part` make up `size`.
std::int64_t parts_of(std::int64_t size, std::int64_t part) { return (size + part - 1) / part; }

/// `size` cut into equal parts of at most `most`, each a multiple of `step`.
std::int64_t even_part(std::int64_t size, std::int64_t most, std::int64_t step) {
  const std::int64_t parts = parts_of(size, most);
  return parts_of(parts_of(size, parts), step) * step;
}

/// A function of the extents alone: the bits of C follow from it. A tile packs its whole strips of A and B, so 512 x
/// 512 costs 2 % against one call for all of C and 256 x 256 costs 6 %; smaller ones share out better.
Tiling choose_tiling(std::int64_t m, std::int64_t n, std::int64_t k) {
  constexpr std::int64_t kSmall = 1 << 20;  // multiply-adds that take about as long as it takes to start the threads
  constexpr std::int64_t kEnoughTiles = 8;
  if (m * n * k <= kSmall) return {m, n};
  Tiling most{512, 512};
  while (parts_of(m, most.rows) * parts_of(n, most.cols) < kEnoughTiles && most.cols > 256) {
    if (most.rows > 256) most.rows = 256;
    else most.cols = 256;
  }
  return {even_part(m, most.rows, 16), even_part(n, most.cols, 64)};
}

}  // namespace

void gemm(Transpose transpose_a, Transpose transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
          std::int64_t lda, const float* b, std::int64_t ldb, bool accumulate, float* c, std::int64_t ldc) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    if (!accumulate)
      for (std::int64_t row = 0; row < m; ++row) std::fill_n(c + row * ldc, n, 0.0f);
    return;
  }
  QAD_ASSERT(std::max({m, n, k, lda, ldb, ldc}) <= std::numeric_limits<std::int32_t>::max());
  QAD_ASSERT(lda >= (transpose_a == Transpose::no ? k : m) && ldb >= (transpose_b == Transpose::no ? n : k) &&
             ldc >= n);

  const Tiling tile = choose_tiling(m, n, k);
  const std::int64_t tile_cols = parts_of(n, tile.cols);
  parallel_for(parts_of(m, tile.rows) * tile_cols, 1, [&](std::int64_t index, std::int64_t) {
    const std::int64_t row = index / tile_cols * tile.rows;
    const std::int64_t col = index % tile_cols * tile.cols;
    tile_product(transpose_a, transpose_b, std::min(tile.rows, m - row), std::min(tile.cols, n - col), k,
                 a + (transpose_a == Transpose::no ? row * lda : row), lda,
                 b + (transpose_b == Transpose::no ? col : col * ldb), ldb, accumulate ? 1.0f : 0.0f,
                 c + row * ldc + col, ldc);
  });
}

}  // namespace qad::kernels
