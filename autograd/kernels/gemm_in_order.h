// Matrix products whose bits do not depend on what stands beside a row: for decoding, where rows come and go.
#pragma once

#include <cstdint>
#include <functional>

namespace qad::kernels {

/// How products in order are cut: groups of B's rows, a lane each, times parts of A's; a single row of A meets some
/// groups of InterleavedBF16 together.
inline constexpr std::int64_t kInOrderGroup = 16, kInOrderPart = 96, kInOrderTogether = 4;

/// C = A·Bᵀ in FP32: A [m, k], B [n, k], C [m, n], row-major. An element of C is one chain of fused multiply-adds over
/// k in order, so it has the same bits in whatever batch, at any number of threads, and on every CPU that fuses them
/// (AVX2, AVX-512). B is read once for each 96 rows of A, as it lies there.
void gemm_in_order(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda, const float* b,
                   std::int64_t ldb, float* c, std::int64_t ldc);
/// The same with B in BF16 (its bits).
void gemm_in_order_bf16(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda,
                        const std::uint16_t* b, std::int64_t ldb, float* c, std::int64_t ldc);

/// B in BF16 laid out for one row of A: groups of 16 rows one after another, of each group two columns of a row in an
/// element (the first one in the lower half), an element a row. Rows and a column that are missing are zero.
struct InterleavedBF16 {
  std::int64_t n = 0, k = 0;
  const std::uint32_t* elements = nullptr;

  [[nodiscard]] std::int64_t group_size() const { return (k + 1) / 2 * kInOrderGroup; }
  [[nodiscard]] std::int64_t size() const { return (n + kInOrderGroup - 1) / kInOrderGroup * group_size(); }
};
/// Lays B [n, k], rows `ldb` apart, out in `elements`.
void interleave_bf16(std::int64_t n, std::int64_t k, const std::uint16_t* b, std::int64_t ldb, std::uint32_t* elements);
/// The same bits as gemm_in_order_bf16. A row of A reads B as fast as memory gives it: what a group needs lies
/// together, while 16 rows at once are more streams than processors follow well.
void gemm_in_order_interleaved(std::int64_t m, const InterleavedBF16& b, const float* a, std::int64_t lda, float* c,
                               std::int64_t ldc);

/// Calls multiply(first row of A, rows, first row of B, rows) for every piece of a product, on all threads; at most
/// kInOrderPart and `width` rows, a multiple of kInOrderGroup.
void for_pieces_in_order(
    std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t width,
    const std::function<void(std::int64_t row, std::int64_t rows, std::int64_t col, std::int64_t cols)>& multiply);

}  // namespace qad::kernels
