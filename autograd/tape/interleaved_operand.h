// A BF16 matrix as decoding reads it fastest: 16 rows side by side.
#pragma once

#include "autograd/kernels/gemm_in_order.h"
#include "autograd/tape/operand.h"

namespace qad {

/// The values and the products' bits are those of the plain matrix. Products beside which rows may matter
/// (batch_invariant.h) expand it by panels.
class InterleavedOperand final : public Operand {
 public:
  /// `matrix` [rows, cols] is in BF16; it is not kept, and where a mapped file holds it, the file's pages are let go.
  explicit InterleavedOperand(const Tensor& matrix);

  [[nodiscard]] Shape shape() const override { return {rows_, cols_}; }
  [[nodiscard]] std::size_t bytes() const override { return elements_.bytes(); }
  void expand_rows(std::int64_t begin, std::int64_t end, float* out) const override;
  [[nodiscard]] bool exact_in_bf16() const override { return true; }
  void expand_rows_bf16(std::int64_t begin, std::int64_t end, std::uint16_t* out) const override;
  void multiply_transposed(const Tensor& x, float* out) const override;
  using Operand::multiply_transposed;

 private:
  [[nodiscard]] kernels::InterleavedBF16 matrix() const;

  std::int64_t rows_, cols_;
  Tensor elements_;
};

}  // namespace qad
