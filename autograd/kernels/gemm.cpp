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

/// `size` cut into equal parts of at most `most`, each a multiple of `step`.
std::int64_t even_part(std::int64_t size, std::int64_t most, std::int64_t step) {
  const std::int64_t parts = (size + most - 1) / most;
  const std::int64_t part = (size + parts - 1) / parts;
  return (part + step - 1) / step * step;
}

/// A function of the extents alone: the bits of C follow from it. Large tiles pack less (a tile packs its whole strips
/// of A and B), small ones share out better.
Tiling choose_tiling(std::int64_t m, std::int64_t n, std::int64_t k) {
  constexpr std::int64_t kSmall = 1 << 20;  // multiply-adds that take about as long as it takes to start the threads
  if (m * n * k <= kSmall) return {m, n};
  return {even_part(m, 256, 16), even_part(n, 512, 64)};
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
  const std::int64_t tile_rows = (m + tile.rows - 1) / tile.rows;
  const std::int64_t tile_cols = (n + tile.cols - 1) / tile.cols;
  parallel_for(tile_rows * tile_cols, 1, [&](std::int64_t index, std::int64_t) {
    const std::int64_t row = index / tile_cols * tile.rows;
    const std::int64_t col = index % tile_cols * tile.cols;
    tile_product(transpose_a, transpose_b, std::min(tile.rows, m - row), std::min(tile.cols, n - col), k,
                 a + (transpose_a == Transpose::no ? row * lda : row), lda,
                 b + (transpose_b == Transpose::no ? col : col * ldb), ldb, accumulate ? 1.0f : 0.0f,
                 c + row * ldc + col, ldc);
  });
}

}  // namespace qad::kernels
