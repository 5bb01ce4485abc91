// Matrix product, the definition.
#pragma once

#include <cstdint>

#include "autograd/core/dtype.h"

namespace qad::reference {

/// C = op(A)·op(B), or C += with `accumulate`; row-major; op(A) [m, k], op(B) [k, n]:
/// C[i, j] = Σ_p op(A)[i, p]·op(B)[p, j].
template <class T>
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, const T* a,
          std::int64_t lda, const T* b, std::int64_t ldb, bool accumulate, T* c, std::int64_t ldc) {
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      T sum(0);
      for (std::int64_t p = 0; p < k; ++p)
        sum += (transpose_a ? a[p * lda + i] : a[i * lda + p]) * (transpose_b ? b[j * ldb + p] : b[p * ldb + j]);
      c[i * ldc + j] = accumulate ? c[i * ldc + j] + sum : sum;
    }
}

/// C = A·Bᵀ of BF16 matrices: C[i, j] = Σ_p A[i, p]·B[j, p].
template <class T>
void gemm_bf16(std::int64_t m, std::int64_t n, std::int64_t k, const std::uint16_t* a, std::int64_t lda,
               const std::uint16_t* b, std::int64_t ldb, T* c, std::int64_t ldc) {
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      T sum(0);
      for (std::int64_t p = 0; p < k; ++p) sum += T(bf16_to_f32(a[i * lda + p])) * T(bf16_to_f32(b[j * ldb + p]));
      c[i * ldc + j] = sum;
    }
}

/// The backward of C = op(A)·op(B) with plain A [m, k] and B [k, n]:  dA += dC·Bᵀ,  dB += Aᵀ·dC.
template <class T>
void gemm_backward(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, const T* b, const T* dc, T* da, T* db) {
  gemm(false, true, m, k, n, dc, n, b, n, true, da, k);
  gemm(true, false, k, n, m, a, k, dc, n, true, db, n);
}

}  // namespace qad::reference
