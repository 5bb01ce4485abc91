// The inner loops of integer_product.h. Highway chooses the instruction set at run time.
#pragma once

#include <cstdint>

namespace qad::simd {

/// The rows of x as a product reads them: doubled codes, and of each block its scale and what makes up for the 12 that
/// is added to each code of w, so that those are not negative.
struct ProductInputs {
  const std::int8_t* codes;         ///< [rows, cols]
  const float* scales;              ///< [rows, blocks]; powers of two: their exponents, as floats
  const std::int32_t* corrections;  ///< [rows, blocks]: -12·Σ codes
};

struct ProductExtents {
  std::int64_t cols, blocks;
  std::int64_t parts;       ///< of 16 columns in a block: 1 or 2
  bool powers_of_two;       ///< scales are E8M0, else E4M3
  std::int64_t out_stride;  ///< columns of the result
  double tensor_scales;     ///< both and ¼
};

/// Codes and scales of one row of `blocks` blocks to the forms that ProductInputs has.
void prepare_inputs(const std::uint8_t* codes, const std::uint8_t* scales, const ProductExtents& extents,
                    std::int8_t* doubled, float* scale_values, std::int32_t* corrections);

/// Most rows of x, and groups of w's rows, that go together.
inline constexpr std::int64_t kProductRows = 64, kProductGroups = 2;
/// Bytes that multiply_groups needs to work in when it has many rows of x.
[[nodiscard]] std::int64_t product_scratch_bytes(const ProductExtents& extents);

/// Rows of x times groups of w's rows, `stride` bytes apart, of which `valid` rows are there: out[m·out_stride + n].
/// `scratch` has 64-byte alignment.
void multiply_groups(const ProductInputs& x, std::int64_t rows, const std::uint8_t* groups, std::int64_t stride,
                     std::int64_t valid, const ProductExtents& extents, std::uint8_t* scratch, float* out);

}  // namespace qad::simd
