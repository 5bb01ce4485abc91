// Element types of tensors and the exact conversions between the floating ones.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace qad {

enum class DType : std::uint8_t { f32, bf16, f16, i64, i32, u8 };

[[nodiscard]] std::size_t bytes_of(DType dtype);
[[nodiscard]] std::string_view name_of(DType dtype);  ///< "f32", "bf16", …

/// BF16 is the upper half of an FP32 number: exact.
[[nodiscard]] constexpr float bf16_to_f32(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}
/// Nearest, ties to even; a NaN stays a (quiet) NaN.
[[nodiscard]] constexpr std::uint16_t f32_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x0040u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
/// IEEE binary16; exact.
[[nodiscard]] float f16_to_f32(std::uint16_t bits);
/// Nearest, ties to even; beyond the largest finite value goes to infinity.
[[nodiscard]] std::uint16_t f32_to_f16(float value);

}  // namespace qad
