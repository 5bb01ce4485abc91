// The one call into the BLAS: a single-threaded matrix product of a tile. gemm.h cuts large products into such tiles.
#pragma once

#include <cblas.h>

#include <cstdint>

#include "autograd/kernels/gemm.h"

namespace qad::kernels {

/// C = op(A)·op(B) + beta·C, row-major; with beta 0 the old C is not read. No extent may be zero or pass 2^31.
inline void tile_product(Transpose transpose_a, Transpose transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                         const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float beta, float* c,
                         std::int64_t ldc) {
  const auto extent = [](std::int64_t value) { return static_cast<blasint>(value); };
  const auto transpose = [](Transpose value) { return value == Transpose::no ? CblasNoTrans : CblasTrans; };
  cblas_sgemm(CblasRowMajor, transpose(transpose_a), transpose(transpose_b), extent(m), extent(n), extent(k), 1.0f, a,
              extent(lda), b, extent(ldb), beta, c, extent(ldc));
}

}  // namespace qad::kernels
