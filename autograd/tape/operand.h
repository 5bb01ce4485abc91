// What is multiplied, and what a node keeps of it for backward. Opaque: plain floats or BF16 here, codes where qad
// supplies them.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "autograd/core/tensor.h"

namespace qad {

/// A matrix [rows, cols] that multiplies itself, and can be turned into FP32, whole or by rows, and, where that changes
/// no value, into BF16. Immutable; shared between nodes.
class Operand {
 public:
  Operand() = default;
  virtual ~Operand() = default;
  Operand(const Operand&) = delete;
  Operand& operator=(const Operand&) = delete;

  [[nodiscard]] virtual Shape shape() const = 0;
  /// Memory it holds.
  [[nodiscard]] virtual std::size_t bytes() const = 0;
  /// Writes rows [begin, end) as FP32, row-major, to `out`.
  virtual void expand_rows(std::int64_t begin, std::int64_t end, float* out) const = 0;
  /// The whole as an FP32 tensor; a plain FP32 one is returned without a copy.
  [[nodiscard]] virtual Tensor expand() const;

  /// Whether BF16 holds every value exactly. What follows is only for such a matrix.
  [[nodiscard]] virtual bool exact_in_bf16() const { return false; }
  /// Writes rows [begin, end) as BF16, row-major, to `out`.
  virtual void expand_rows_bf16(std::int64_t begin, std::int64_t end, std::uint16_t* out) const;
  /// The whole as a BF16 tensor; a plain BF16 one is returned without a copy.
  [[nodiscard]] virtual Tensor expand_bf16() const;

  /// Writes x·thisᵀ [n, rows], FP32, to `out`; x is [n, cols], in FP32, or in BF16 where this is exact in BF16 and the
  /// kernel table has gemm_bf16. Unless a form of its own does better, it is expanded panel by panel, a few MiB at a
  /// time (panel_product.cpp), so that a BF16 teacher or a packed student never stands in memory as floats.
  virtual void multiply_transposed(const Tensor& x, float* out) const;
  /// The same for an x in a form of its own, which is expanded unless both are codes that multiply as they are.
  virtual void multiply_transposed(const Operand& x, float* out) const;
  /// d·this: d [n, rows], a gradient_factor (gradient_products.h) -> [n, cols]; overwrites `result`, or adds to it when
  /// `accumulate`.
  virtual void multiply(const Tensor& d, bool accumulate, const Tensor& result) const;

  /// Some of its rows, in this order, in its own form if it has one.
  [[nodiscard]] virtual std::shared_ptr<const Operand> gather(const std::vector<std::int64_t>& rows) const;
  /// What it stands for, where it only adds something to another operand.
  [[nodiscard]] virtual const Operand& source() const { return *this; }
};

/// x·weightᵀ as a tensor of its own.
[[nodiscard]] Tensor times_transposed(const Tensor& x, const Operand& weight);

/// Keeps the tensor itself (FP32, BF16 or F16).
[[nodiscard]] std::shared_ptr<const Operand> operand_of(const Tensor& tensor);

}  // namespace qad
