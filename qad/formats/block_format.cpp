#include "qad/formats/block_format.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "autograd/base/error.h"

namespace qad {
namespace {

constexpr auto kRow = BlockFormat::kWholeRow;
constexpr auto kAmax = BlockScaleRule::amax;
constexpr simd::RowFunctions kFastNvfp4 = {simd::quantize_nvfp4_row, simd::dequantize_nvfp4_row};
constexpr simd::RowFunctions kFastMxfp4 = {simd::quantize_mxfp4_row, simd::dequantize_mxfp4_row};
constexpr simd::RowFunctions kFastFp8 = {simd::quantize_fp8_row, nullptr};

// clang-format off
constinit const std::array<BlockFormat, 7> kFormats = {{
    // name        element  block  scale    rule                          tensor scale, fast functions
    {"nvfp4",       &kE2M1,    16, &kE4M3,  kAmax,                        true,  kFastNvfp4},
    {"mxfp4",       &kE2M1,    32, &kE8M0,  BlockScaleRule::power_of_two, false, kFastMxfp4},
    {"fp8",         &kE4M3,  kRow, nullptr, kAmax,                        true,  kFastFp8},
    {"fp8_channel", &kE4M3,  kRow, &kF32,   kAmax,                        false},
    {"int8",        &kInt8,  kRow, &kF32,   kAmax,                        false},
    {"int4_g128",   &kInt4,   128, &kBF16,  kAmax,                        false},
    {"nf4_g64",     &kNF4,     64, &kF32,   kAmax,                        false},
}};
// clang-format on

// With a tensor scale of 1.
float largest_value(const BlockFormat& format) {
  return format.element->max * (format.scale ? format.scale->max : 1.0f);
}

}  // namespace

DType BlockFormat::scale_dtype() const {
  QAD_ASSERT(scale != nullptr);
  return scale->bits == 8 ? DType::u8 : scale->bits == 16 ? DType::bf16 : DType::f32;
}

double BlockFormat::bits_per_weight(std::int64_t cols) const {
  const std::int64_t scale_bits = scale ? blocks_per_row(cols) * scale->bits : 0;
  return static_cast<double>(cols * element->bits + scale_bits) / static_cast<double>(cols);
}

float BlockFormat::saturation_limit(float tensor_scale) const {
  if (!has_tensor_scale) return std::numeric_limits<float>::infinity();
  // The product may round to just below the amax whose quotient rounded to this scale: never by more than one step,
  // since the largest value is 2^k·c with c < 2 and so the two roundings are off by less than (1 + c)/2 steps.
  const float product = largest_value(*this) * tensor_scale;
  const float next = std::nextafter(product, std::numeric_limits<float>::infinity());
  return next / largest_value(*this) <= tensor_scale ? next : product;
}

bool BlockFormat::exact_in_bf16(float tensor_scale) const {
  int exponent = 0;
  const bool power_of_two = std::frexp(tensor_scale, &exponent) == 0.5f;
  return power_of_two && element->significant_bits + (scale ? scale->significant_bits : 0) <= kBF16.significant_bits;
}

std::span<const BlockFormat> block_formats() { return kFormats; }

const BlockFormat& block_format(std::string_view name) {
  std::vector<std::string_view> known;
  for (const BlockFormat& format : kFormats) {
    if (format.name == name) return format;
    known.push_back(format.name);
  }
  throw Error({.who = "number format",
               .expected = fmt::format("one of {}", fmt::join(known, ", ")),
               .got = fmt::format("'{}'", name)});
}

BlockScale block_scale(const BlockFormat& format, float amax, float tensor_scale) {
  const ElementType& scale = *format.scale;
  const auto coded = [&](float value) {
    const std::uint32_t code = scale.encode(value);
    return BlockScale{code, scale.value(code)};
  };
  if (std::bit_cast<std::uint32_t>(amax) == 0) return coded(1.0f);
  const float smallest = std::max(scale.min_positive, kSmallestScale);
  const float wanted = format.rule == BlockScaleRule::power_of_two
                           ? std::ldexp(1.0f, std::ilogb(amax) - std::ilogb(format.element->max))
                           : amax / (format.element->max * tensor_scale);
  const BlockScale result = coded(std::min(wanted, scale.max));
  return result.value < smallest ? coded(smallest) : result;
}

float tensor_scale_from_amax(const BlockFormat& format, float amax, TensorScaleRound round) {
  QAD_ASSERT(std::isfinite(amax) && amax >= 0.0f);
  if (!format.has_tensor_scale || std::bit_cast<std::uint32_t>(amax) == 0) return 1.0f;
  float scale = std::max(amax / largest_value(format), kSmallestScale);
  if (round == TensorScaleRound::pow2) {
    int exponent = 0;
    const float fraction = std::frexp(scale, &exponent);  // in [0.5, 1)
    scale = std::ldexp(1.0f, fraction == 0.5f ? exponent - 1 : exponent);
  }
  return std::min(scale, kLargestTensorScale);
}

}  // namespace qad
