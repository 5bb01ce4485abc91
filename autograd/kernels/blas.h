// The calls into the BLAS: a single-threaded matrix product of a tile. gemm.h cuts large products into such tiles.
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

/// The same of BF16 operands (their bits), summed in FP32. Only where has_bf16_products().
void tile_product_bf16(Transpose transpose_a, Transpose transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                       const std::uint16_t* a, std::int64_t lda, const std::uint16_t* b, std::int64_t ldb,
                       bool accumulate, float* c, std::int64_t ldc);
/// Whether this CPU has instructions for them (AVX512_BF16), and ONEDNN_MAX_CPU_ISA allows them.
[[nodiscard]] bool has_bf16_products();

/// "oneDNN 2.6.3 AVX512_CORE_BF16": version and instruction set in use.
[[nodiscard]] std::string blas_description();

}  // namespace qad::kernels
