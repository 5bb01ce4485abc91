// What a node keeps of an operand for backward. Opaque: plain floats or BF16 here, codes where qad supplies them.
#pragma once

#include <cstdint>
#include <memory>

#include "autograd/core/tensor.h"

namespace qad {

/// A matrix [rows, cols] that can be turned into FP32, whole or by rows, and, where that changes no value, into BF16.
/// Immutable; shared between nodes.
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
};

/// Keeps the tensor itself (FP32, BF16 or F16).
[[nodiscard]] std::shared_ptr<const Operand> operand_of(const Tensor& tensor);

}  // namespace qad
