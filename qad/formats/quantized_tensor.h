// A matrix as codes and scales of one number format. How it comes about and how it is read: quantize.h.
#pragma once

#include "autograd/core/tensor.h"
#include "qad/formats/block_format.h"

namespace qad {

struct QuantizedTensor {
  const BlockFormat* format = nullptr;
  std::int64_t rows = 0, cols = 0;
  Tensor codes;               ///< u8 [rows, bytes a row], packed as pack.h says
  Tensor scales;              ///< [rows, blocks a row] in format->scale_dtype(); undefined where there are none
  float tensor_scale = 1.0f;  ///< a multiplier; 1 where the format has none

  /// Memory of uninitialised codes and scales; cols must be a multiple of the block size.
  [[nodiscard]] static QuantizedTensor allocate(const BlockFormat& format, std::int64_t rows, std::int64_t cols,
                                                float tensor_scale);
  [[nodiscard]] std::size_t bytes() const;
};

}  // namespace qad
