// Matrix product, the kernel in which nearly all time of a step goes.
#pragma once

#include <cstdint>

namespace qad::kernels {

enum class Transpose : bool { no, yes };

/// C = op(A)·op(B), or C += op(A)·op(B) when `accumulate`. All row-major FP32; op(A) is [m, k], op(B) is [k, n], C is
/// [m, n]; the leading dimensions are those of the stored matrices.
/// C is cut into tiles that depend on m, n and k alone, each a single-threaded BLAS call over the whole of k, so the
/// bits do not depend on the number of threads.
void gemm(Transpose transpose_a, Transpose transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
          std::int64_t lda, const float* b, std::int64_t ldb, bool accumulate, float* c, std::int64_t ldc);

/// The same of BF16 matrices (their bits); C is FP32. Products of two BF16 numbers are exact in FP32, so this differs
/// from gemm() of the same values in the order of its sums alone, and takes half the time. Only where the CPU has
/// instructions for it: the kernel table says. Tiles as above.
void gemm_bf16(Transpose transpose_a, Transpose transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
               const std::uint16_t* a, std::int64_t lda, const std::uint16_t* b, std::int64_t ldb, bool accumulate,
               float* c, std::int64_t ldc);

}  // namespace qad::kernels
