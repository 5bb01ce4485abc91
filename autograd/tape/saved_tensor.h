// What a node keeps of an operand for backward. Opaque: plain floats or BF16 here, codes where qad supplies them.
#pragma once

#include <cstdint>
#include <memory>

#include "autograd/core/tensor.h"

namespace qad {

/// A matrix [rows, cols] that can be turned into FP32, whole or by rows. Immutable; shared between nodes.
class SavedTensor {
 public:
  SavedTensor() = default;
  virtual ~SavedTensor() = default;
  SavedTensor(const SavedTensor&) = delete;
  SavedTensor& operator=(const SavedTensor&) = delete;

  [[nodiscard]] virtual Shape shape() const = 0;
  /// Memory it holds.
  [[nodiscard]] virtual std::size_t bytes() const = 0;
  /// Writes rows [begin, end) as FP32, row-major, to `out`.
  virtual void expand_rows(std::int64_t begin, std::int64_t end, float* out) const = 0;
  /// The whole as an FP32 tensor; a plain FP32 one is returned without a copy.
  [[nodiscard]] virtual Tensor expand() const;
};

/// Keeps the tensor itself (FP32, BF16 or F16).
[[nodiscard]] std::shared_ptr<const SavedTensor> save(const Tensor& tensor);

}  // namespace qad
