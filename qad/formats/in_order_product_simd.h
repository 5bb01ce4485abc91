// The inner loops of in_order_product.h. Highway chooses the instruction set at run time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "qad/formats/block_format.h"

namespace qad::simd {

/// At most 16 rows of codes as a QuantizedTensor has them, of any format but E2M1's.
struct RowsOfCodes {
  const BlockFormat* format;
  std::int64_t count, cols;
  const std::uint8_t* codes;
  std::int64_t code_stride;  ///< bytes from row to row
  const std::byte* scales;   ///< null: none
  std::int64_t scale_stride;
  float tensor_scale;
};

/// At most two groups of 16 rows of InterleavedRows.
struct GroupsOfCodes {
  std::int64_t count, cols;   ///< rows that are there
  const std::uint8_t* bytes;  ///< of the first group
  std::int64_t stride;        ///< bytes to the next
  const float* scale_of;      ///< value of each scale code
  std::int64_t parts;         ///< of 16 columns in a block: 1 or 2
  float tensor_scale;
};

/// c [m, count], rows `ldc` apart, = a [m, cols], rows `cols` apart, times the rows; m is at most kInOrderPart.
void multiply_in_order(const RowsOfCodes& rows, std::int64_t m, const float* a, float* c, std::int64_t ldc);
void multiply_in_order(const GroupsOfCodes& groups, std::int64_t m, const float* a, float* c, std::int64_t ldc);

}  // namespace qad::simd
