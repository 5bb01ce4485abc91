// A matrix of E2M1 codes laid out for products: its rows stand in groups of 16, side by side, so that a vector's lane
// is a row and a product's sums go in order of k, whatever the width of a vector.
//
// A block (16 columns in NVFP4, 32 in MXFP4) of a group is contiguous: for each 16 columns 128 bytes of codes, then a
// byte of scale for each row; 4.5 or 4.25 bits a value, as in a QuantizedTensor. Of the codes, byte 4·row + j has
// columns j (low nibble) and 4 + j (high nibble), and the byte 64 further columns 8 + j and 12 + j.
#pragma once

#include "qad/formats/quantized_tensor.h"

namespace qad {

struct InterleavedRows {
  static constexpr std::int64_t kGroup = 16;    ///< rows
  static constexpr std::int64_t kColumns = 16;  ///< that stand in 128 bytes

  const BlockFormat* format = nullptr;
  std::int64_t rows = 0, cols = 0;
  Tensor bytes;  ///< u8 [groups, bytes of a group]; rows past the last are zeros
  float tensor_scale = 1.0f;

  [[nodiscard]] std::int64_t groups() const { return (rows + kGroup - 1) / kGroup; }
  [[nodiscard]] static std::int64_t bytes_of_block(const BlockFormat& format) {
    return format.block / kColumns * 128 + kGroup;
  }
};

/// Whether a format can be laid out so: codes of E2M1, 16 under an E4M3 scale or 32 under an E8M0 one.
[[nodiscard]] bool can_be_interleaved(const BlockFormat& format);
[[nodiscard]] InterleavedRows interleaved(const QuantizedTensor& tensor);
/// Rows [begin, end) as they were before.
[[nodiscard]] QuantizedTensor separated(const InterleavedRows& tensor, std::int64_t begin, std::int64_t end);

namespace cpu {
[[nodiscard]] InterleavedRows interleaved(const QuantizedTensor& tensor);
[[nodiscard]] QuantizedTensor separated(const InterleavedRows& tensor, std::int64_t begin, std::int64_t end);
}  // namespace cpu

}  // namespace qad
