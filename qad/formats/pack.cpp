#include "qad/formats/pack.h"

#include <algorithm>

#include "autograd/base/error.h"

namespace qad {

void pack_codes(const std::uint8_t* codes, std::int64_t count, int bits, std::uint8_t* packed) {
  QAD_ASSERT(bits == 4 || bits == 8);
  if (bits == 8) {
    std::copy_n(codes, count, packed);
    return;
  }
  for (std::int64_t col = 0; col < count; col += 2) {
    const std::uint32_t odd = col + 1 < count ? codes[col + 1] : 0u;
    packed[col / 2] = static_cast<std::uint8_t>((codes[col] & 15u) | (odd & 15u) << 4);
  }
}

void unpack_codes(const std::uint8_t* packed, std::int64_t count, int bits, std::uint8_t* codes) {
  QAD_ASSERT(bits == 4 || bits == 8);
  for (std::int64_t col = 0; col < count; ++col) codes[col] = static_cast<std::uint8_t>(packed_code(packed, col, bits));
}

}  // namespace qad
