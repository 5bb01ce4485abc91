// Matrix product as Eigen, which this project did not write, computes it: what the fast one is held against.
#pragma once

#include <Eigen/Core>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "autograd/core/dtype.h"

namespace qad::reference {

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// A row-major matrix in place: [rows, cols], rows `stride` apart.
template <class T>
auto matrix(T* data, std::int64_t rows, std::int64_t cols, std::int64_t stride) {
  using Plain = std::conditional_t<std::is_const_v<T>, const Matrix<std::remove_const_t<T>>, Matrix<T>>;
  return Eigen::Map<Plain, Eigen::Unaligned, Eigen::OuterStride<>>(data, rows, cols, Eigen::OuterStride<>(stride));
}

/// C = op(A)·op(B), or C += with `accumulate`; row-major; op(A) [m, k], op(B) [k, n]:
/// C[i, j] = Σ_p op(A)[i, p]·op(B)[p, j].
template <class T>
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, const T* a,
          std::int64_t lda, const T* b, std::int64_t ldb, bool accumulate, T* c, std::int64_t ldc) {
  const Matrix<T> left = transpose_a ? Matrix<T>(matrix(a, k, m, lda).transpose()) : Matrix<T>(matrix(a, m, k, lda));
  const Matrix<T> right = transpose_b ? Matrix<T>(matrix(b, n, k, ldb).transpose()) : Matrix<T>(matrix(b, k, n, ldb));
  auto out = matrix(c, m, n, ldc);
  if (accumulate) out.noalias() += left * right;
  else out.noalias() = left * right;
}

/// The same of BF16 matrices (their bits).
template <class T>
void gemm_bf16(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
               const std::uint16_t* a, std::int64_t lda, const std::uint16_t* b, std::int64_t ldb, bool accumulate,
               T* c, std::int64_t ldc) {
  const auto decode = [](std::uint16_t bits) { return T(bf16_to_f32(bits)); };
  const Matrix<T> left = (transpose_a ? matrix(a, k, m, lda) : matrix(a, m, k, lda)).unaryExpr(decode);
  const Matrix<T> right = (transpose_b ? matrix(b, n, k, ldb) : matrix(b, k, n, ldb)).unaryExpr(decode);
  gemm(transpose_a, transpose_b, m, n, k, left.data(), left.cols(), right.data(), right.cols(), accumulate, c, ldc);
}

/// C = A·Bᵀ, each element one chain of fused multiply-adds over k in order; A [m, k], B [n, k] of floats.
inline void gemm_in_order(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda,
                          const float* b, std::int64_t ldb, float* c, std::int64_t ldc) {
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (std::int64_t p = 0; p < k; ++p) sum = std::fma(a[i * lda + p], b[j * ldb + p], sum);
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
