// Codes of 4 bits, two in a byte: the even column in the low nibble, the odd one in the high nibble, as ModelOpt and
// compressed-tensors store them (GGUF does not: qad/layouts/gguf_blocks.h). Codes of 8 bits are a byte each.
#pragma once

#include <cstdint>

namespace qad {

/// Code `col` of a packed row.
[[nodiscard]] inline std::uint32_t packed_code(const std::uint8_t* row, std::int64_t col, int bits) {
  return bits == 8 ? row[col] : (row[col / 2] >> (col % 2 * 4)) & 15u;
}

/// `count` codes of 4 or 8 bits, one a byte, into (count·bits + 7)/8 bytes.
void pack_codes(const std::uint8_t* codes, std::int64_t count, int bits, std::uint8_t* packed);
void unpack_codes(const std::uint8_t* packed, std::int64_t count, int bits, std::uint8_t* codes);

}  // namespace qad
