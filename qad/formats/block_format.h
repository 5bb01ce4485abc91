// Number formats of whole tensors, as rows of a table: an element type, the columns that share a block scale, the
// element type of that scale, and whether a tensor scale stands above all blocks (block_format.cpp).
//
// The value of a code is   value(code) · (block scale · tensor scale),   products rounded to FP32 in this order.
//
// Sources: NVFP4, NVIDIA's Blackwell format as ModelOpt and compressed-tensors store it; OCP Microscaling Formats v1.0
// for mxfp4; bitsandbytes' FP32 scale of 64 values for nf4_g64; int4_g128 as GPTQ's and AWQ's symmetric groups.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "autograd/base/fields.h"
#include "autograd/core/dtype.h"
#include "qad/formats/element.h"
#include "qad/formats/quantize_simd.h"

namespace qad {

/// How the scale of a block follows from its largest magnitude, the amax.
enum class BlockScaleRule : std::uint8_t {
  amax,          ///< nearest to amax / (element max · tensor scale), so that the amax meets the largest code
  power_of_two,  ///< 2^(floor(log2 amax) - floor(log2 element max)), MX v1.0 section 6.3; the largest values may clip
};

/// No scale that is computed here falls below this, so neither scales nor values are ever subnormal, and
/// flush-to-zero modes can't change a result.
inline constexpr float kSmallestScale = 0x1p-100f;
/// Nor does a tensor scale exceed this: the largest value of a format, 6·448·2^116, is still finite.
inline constexpr float kLargestTensorScale = 0x1p116f;

struct BlockFormat {
  static constexpr std::int64_t kWholeRow = 0;  ///< "per channel": rows are output channels

  std::string_view name;
  const ElementType* element;  ///< 4 or 8 bits
  std::int64_t block;          ///< columns that share a block scale, or kWholeRow
  const ElementType* scale;    ///< of the block scale; null: the tensor scale is the only one
  BlockScaleRule rule;
  bool has_tensor_scale;
  simd::RowFunctions fast{};

  [[nodiscard]] std::int64_t block_size(std::int64_t cols) const { return block == kWholeRow ? cols : block; }
  [[nodiscard]] std::int64_t blocks_per_row(std::int64_t cols) const { return scale ? cols / block_size(cols) : 0; }
  [[nodiscard]] std::int64_t code_bytes_per_row(std::int64_t cols) const { return (cols * element->bits + 7) / 8; }
  [[nodiscard]] DType scale_dtype() const;  ///< of stored block scales: u8, bf16 or f32
  /// Codes and block scales; the tensor scale, one number, is not counted.
  [[nodiscard]] double bits_per_weight(std::int64_t cols) const;
  /// Magnitudes above this saturate for certain: element max · largest block scale · tensor scale (6·448·s2 in nvfp4),
  /// and at least every amax that tensor_scale_from_amax gives this tensor scale for.
  /// Infinite where block scales cover the whole range.
  [[nodiscard]] float saturation_limit(float tensor_scale) const;
  /// Whether BF16 holds every value of codes under this tensor scale exactly: few enough significant bits in element
  /// and block scale (2 + 4 of 8 in nvfp4), and a tensor scale that is a power of two.
  [[nodiscard]] bool exact_in_bf16(float tensor_scale) const;
};

[[nodiscard]] std::span<const BlockFormat> block_formats();
/// By name ("nvfp4", "fp8", …); an unknown one is an Error that lists those known.
[[nodiscard]] const BlockFormat& block_format(std::string_view name);

struct BlockScale {
  std::uint32_t code;  ///< of format.scale
  float value;         ///< of the code
};
/// The scale of a block whose largest magnitude is `amax` (finite). Never zero, negative or NaN: a scale that would
/// round to zero becomes the smallest (at least kSmallestScale), an all-zero block has scale 1.
[[nodiscard]] BlockScale block_scale(const BlockFormat& format, float amax, float tensor_scale);

enum class TensorScaleRound : std::uint8_t {
  pow2,  ///< up to a power of two: products with it are exact, so every exported layout holds the same weights
  none,  ///< ModelOpt's own value
};
inline constexpr auto enum_names(TensorScaleRound) {
  return std::to_array<EnumName<TensorScaleRound>>(
      {{TensorScaleRound::pow2, "pow2"}, {TensorScaleRound::none, "none"}});
}

/// amax / (element max · largest block scale), that is amax/2688 for nvfp4 and amax/448 for fp8, rounded as asked and
/// kept within [kSmallestScale, kLargestTensorScale]. 1 for an amax of 0 (any scale serves) and for a format without
/// one.
[[nodiscard]] float tensor_scale_from_amax(const BlockFormat& format, float amax, TensorScaleRound round);

}  // namespace qad
