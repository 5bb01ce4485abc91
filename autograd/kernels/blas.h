// The one call into the BLAS: a single-threaded matrix product of a tile. gemm.h cuts large products into such tiles.
#pragma once

#include <cstdint>
#include <string>

#include "autograd/kernels/gemm.h"

namespace qad::kernels {

/// C = op(A)·op(B) + beta·C, row-major; with beta 0 the old C is not read. No extent may be zero or pass 2^31.
/// May be called from many threads at once.
void tile_product(Transpose transpose_a, Transpose transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                  const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float beta, float* c,
                  std::int64_t ldc);

/// "oneDNN 2.6.3 AVX512_CORE_BF16": version and instruction set in use.
[[nodiscard]] std::string blas_description();

}  // namespace qad::kernels
