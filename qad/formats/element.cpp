#include "qad/formats/element.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "autograd/base/error.h"
#include "autograd/core/dtype.h"

namespace qad {
namespace {

constexpr std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }
constexpr double power_of_two(int exponent) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(1023 + exponent) << 52);
}
constexpr bool is_negative(float value) { return bits_of(value) >> 31 != 0; }

// A small float: sign, exponent, `mantissa` bits; value (1 + m/2^mantissa)·2^(e - bias), subnormal for e = 0. Codes
// above max_code are NaN, but for infinity_code (0: there is none).
template <int mantissa, int bias, std::uint32_t sign_bit, std::uint32_t max_code, std::uint32_t infinity_code,
          std::uint32_t nan_code>
struct SmallFloat {
  static std::uint32_t encode(float value) {
    if (std::isnan(value)) return nan_code;
    const std::uint32_t sign = is_negative(value) ? sign_bit : 0;
    if (std::isinf(value)) return sign | max_code;
    if (value == 0.0f) return sign;
    // In units of the last place, exactly; a result of 2^(mantissa + 1) units carries into the exponent by itself. The
    // steps of libm would say the same, three times slower: searches of scales spend their time here.
    const int exponent = std::max(static_cast<int>(bits_of(value) >> 23 & 0xff) - 127, 1 - bias);
    const double units = std::abs(static_cast<double>(value)) * power_of_two(mantissa - exponent);
    constexpr double kRound = 0x1p52;  // beyond it doubles are whole numbers
    const auto whole = static_cast<std::uint32_t>(units + kRound - kRound);
    return sign | std::min((static_cast<std::uint32_t>(exponent - (1 - bias)) << mantissa) + whole, max_code);
  }

  static float value(std::uint32_t code) {
    const float sign = code & sign_bit ? -1.0f : 1.0f;
    const std::uint32_t magnitude = code & (sign_bit - 1);
    if (magnitude == infinity_code && infinity_code != 0) return sign * std::numeric_limits<float>::infinity();
    if (magnitude > max_code) return std::numeric_limits<float>::quiet_NaN();
    const auto exponent = static_cast<int>(magnitude >> mantissa);
    const std::uint32_t fraction = magnitude & ((1u << mantissa) - 1);
    const std::uint32_t units = exponent == 0 ? fraction : fraction | 1u << mantissa;
    return sign * std::ldexp(static_cast<float>(units), std::max(exponent, 1) - bias - mantissa);
  }
};

using E2M1 = SmallFloat<1, 1, 0x8, 0x7, 0, 0>;
using E4M3 = SmallFloat<3, 7, 0x80, 0x7e, 0, 0x7f>;
using E5M2 = SmallFloat<2, 15, 0x80, 0x7b, 0x7c, 0x7e>;

std::uint32_t encode_e8m0(float value) {
  constexpr std::uint32_t kNaN = 0xff, kMax = 0xfe, kMiddleOfSmallestTwo = 0x00600000;  // 1.5·2^-127
  const std::uint32_t bits = bits_of(value);
  if (std::isnan(value) || bits > bits_of(-0.0f)) return kNaN;
  if (bits < kMiddleOfSmallestTwo || bits == bits_of(-0.0f)) return 0;
  // Adding half of the fraction's range carries into the exponent from 1.5 on.
  return std::min(kMax, (bits + 0x00400000u) >> 23);
}
float value_of_e8m0(std::uint32_t code) {
  return code == 0xff ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, static_cast<int>(code) - 127);
}

std::uint32_t encode_bf16(float value) { return f32_to_bf16(value); }
float value_of_bf16(std::uint32_t code) { return bf16_to_f32(static_cast<std::uint16_t>(code)); }

std::uint32_t encode_f32(float value) { return bits_of(value); }
float value_of_f32(std::uint32_t code) { return std::bit_cast<float>(code); }

// Two's complement in `bits` bits, symmetric: -2^(bits-1) is never written.
template <int bits>
std::uint32_t encode_int(float value) {
  constexpr float kMax = (1 << (bits - 1)) - 1;
  if (std::isnan(value)) return 0;
  const auto whole = static_cast<std::int32_t>(std::nearbyint(std::clamp(value, -kMax, kMax)));
  return static_cast<std::uint32_t>(whole) & ((1u << bits) - 1);
}
template <int bits>
float value_of_int(std::uint32_t code) {
  return static_cast<float>(static_cast<std::int32_t>(code << (32 - bits)) >> (32 - bits));
}

// Quantiles of the normal distribution, scaled to [-1, 1], with an exact zero.
constexpr std::array<float, 16> kNF4Values = {-1.0f,          -0.6961928010f, -0.5250730515f, -0.3949174881f,
                                              -0.2844413817f, -0.1847734302f, -0.0910500363f, 0.0f,
                                              0.0795802996f,  0.1609302014f,  0.2461123019f,  0.3379152417f,
                                              0.4407098293f,  0.5626170039f,  0.7229568362f,  1.0f};

std::uint32_t encode_nf4(float value) {
  if (std::isnan(value)) return 7;  // zero
  const double clamped = std::clamp(value, -1.0f, 1.0f);
  const auto distance = [&](std::uint32_t code) { return std::abs(kNF4Values[code] - clamped); };
  std::uint32_t best = 0;
  for (std::uint32_t code = 1; code < 16; ++code)
    if (distance(code) < distance(best)) best = code;
  return best;
}
float value_of_nf4(std::uint32_t code) { return kNF4Values[code & 15u]; }

}  // namespace

// clang-format off
//                                 name  bits             max   min_positive  significant_bits
constinit const ElementType kE2M1{"e2m1",  4,            6.0f,           0.5f,  2, E2M1::encode,  E2M1::value};
constinit const ElementType kE4M3{"e4m3",  8,          448.0f,        0x1p-9f,  4, E4M3::encode,  E4M3::value};
constinit const ElementType kE5M2{"e5m2",  8,        57344.0f,       0x1p-16f,  3, E5M2::encode,  E5M2::value};
constinit const ElementType kE8M0{"e8m0",  8,        0x1p127f,      0x1p-127f,  1, encode_e8m0,   value_of_e8m0};
constinit const ElementType kBF16{"bf16", 16,     0x1.fep127f,      0x1p-133f,  8, encode_bf16,   value_of_bf16};
constinit const ElementType kF32 {"f32",  32, 0x1.fffffep127f,      0x1p-149f, 24, encode_f32,    value_of_f32};
constinit const ElementType kInt8{"int8",  8,          127.0f,           1.0f,  7, encode_int<8>, value_of_int<8>};
constinit const ElementType kInt4{"int4",  4,            7.0f,           1.0f,  3, encode_int<4>, value_of_int<4>};
constinit const ElementType kNF4 {"nf4",   4,            1.0f,  kNF4Values[8], 24, encode_nf4,    value_of_nf4};
// clang-format on

std::span<const ElementType* const> element_types() {
  static constexpr std::array<const ElementType*, 9> kTypes = {&kE2M1, &kE4M3, &kE5M2, &kE8M0, &kBF16,
                                                               &kF32,  &kInt8, &kInt4, &kNF4};
  return kTypes;
}

const ElementType& element_type(std::string_view name) {
  std::vector<std::string_view> known;
  for (const ElementType* type : element_types()) {
    if (type->name == name) return *type;
    known.push_back(type->name);
  }
  throw Error({.who = "element type",
               .expected = fmt::format("one of {}", fmt::join(known, ", ")),
               .got = fmt::format("'{}'", name)});
}

std::span<const float> value_table(const ElementType& element) {
  struct Table {
    const ElementType* element;
    std::vector<float> values;
  };
  static const std::vector<Table> tables = [] {
    std::vector<Table> result;
    for (const ElementType* type : element_types()) {
      if (type->bits > 8) continue;
      result.push_back({type, {}});
      for (std::uint32_t code = 0; code < 1u << type->bits; ++code) result.back().values.push_back(type->value(code));
    }
    return result;
  }();
  const auto found = std::ranges::find(tables, &element, &Table::element);
  QAD_ASSERT(found != tables.end());
  return found->values;
}

}  // namespace qad
