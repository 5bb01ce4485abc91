#include "autograd/core/dtype.h"

#include <cmath>

#include "autograd/base/error.h"

namespace qad {

std::size_t bytes_of(DType dtype) {
  switch (dtype) {
    case DType::i64: return 8;
    case DType::f32:
    case DType::i32: return 4;
    case DType::bf16:
    case DType::f16: return 2;
    case DType::u8: return 1;
  }
  QAD_ASSERT(false);
  return 0;
}

std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return "f32";
    case DType::bf16: return "bf16";
    case DType::f16: return "f16";
    case DType::i64: return "i64";
    case DType::i32: return "i32";
    case DType::u8: return "u8";
  }
  return "?";
}

float f16_to_f32(std::uint16_t bits) {
  const float sign = (bits & 0x8000u) != 0 ? -1.0f : 1.0f;
  const int exponent = (bits >> 10) & 0x1f;
  const int mantissa = bits & 0x3ff;
  if (exponent == 0x1f) {
    const std::uint32_t wide =
        (static_cast<std::uint32_t>(bits & 0x8000u) << 16) | 0x7f800000u | (static_cast<std::uint32_t>(mantissa) << 13);
    return std::bit_cast<float>(wide);
  }
  if (exponent == 0) return std::ldexp(sign * static_cast<float>(mantissa), -24);
  return std::ldexp(sign * static_cast<float>(mantissa + 1024), exponent - 25);
}

std::uint16_t f32_to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | 0x7e00u | ((bits >> 13) & 0x3ffu));
  const float magnitude = std::fabs(value);
  if (magnitude >= 65520.0f) return static_cast<std::uint16_t>(sign | 0x7c00u);
  // The spacing of binary16 at this magnitude, then nearest-even in units of it (nearbyint's default mode).
  const int exponent = magnitude < 0x1p-14f ? -14 : std::ilogb(magnitude);
  const auto units = static_cast<std::uint32_t>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));
  const std::uint32_t base = static_cast<std::uint32_t>(exponent + 14) << 10;
  return static_cast<std::uint16_t>(sign | (base + units));
}

}  // namespace qad
