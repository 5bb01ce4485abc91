#include "qad/formats/quantize_reference.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "qad/formats/pack.h"

namespace qad::reference {
namespace {

// Scale codes of 8, 16 or 32 bits lie one after the other, little-endian.
void store_scale(std::byte* scales, std::int64_t index, int bits, std::uint32_t code) {
  std::memcpy(scales + index * (bits / 8), &code, static_cast<std::size_t>(bits / 8));
}
std::uint32_t load_scale(const std::byte* scales, std::int64_t index, int bits) {
  std::uint32_t code = 0;
  std::memcpy(&code, scales + index * (bits / 8), static_cast<std::size_t>(bits / 8));
  return code;
}

void store_code(std::uint8_t* row, std::int64_t col, int bits, std::uint32_t code) {
  if (bits == 8) row[col] = static_cast<std::uint8_t>(code);
  else if (col % 2 == 0) row[col / 2] = static_cast<std::uint8_t>(code);
  else row[col / 2] = static_cast<std::uint8_t>(row[col / 2] | code << 4);
}

// By bits, so that a subnormal counts as what it is in any floating-point mode.
bool is_zero(float value) { return std::bit_cast<std::uint32_t>(value) << 1 == 0; }
float larger_magnitude(float a, float b) {
  const std::uint32_t magnitude = 0x7fffffffu;
  return std::bit_cast<float>(
      std::max(std::bit_cast<std::uint32_t>(a) & magnitude, std::bit_cast<std::uint32_t>(b) & magnitude));
}

}  // namespace

void choose_row_scales(const BlockFormat& format, float tensor_scale, const float* x, std::int64_t cols,
                       std::byte* scales) {
  if (!format.scale) return;
  const std::int64_t block = format.block_size(cols);
  for (std::int64_t begin = 0; begin < cols; begin += block) {
    float block_amax = 0.0f;
    for (std::int64_t col = begin; col < begin + block; ++col) block_amax = larger_magnitude(block_amax, x[col]);
    store_scale(scales, begin / block, format.scale->bits, block_scale(format, block_amax, tensor_scale).code);
  }
}

void code_row(const BlockFormat& format, float tensor_scale, const float* x, std::int64_t cols, const std::byte* scales,
              std::uint8_t* codes, float* values) {
  const ElementType& element = *format.element;
  const std::int64_t block = format.block_size(cols);
  for (std::int64_t begin = 0; begin < cols; begin += block) {
    const float scale = format.scale
                            ? format.scale->value(load_scale(scales, begin / block, format.scale->bits)) * tensor_scale
                            : tensor_scale;
    for (std::int64_t col = begin; col < begin + block; ++col) {
      const std::uint32_t code = element.encode(is_zero(x[col]) ? 0.0f : x[col] / scale);
      store_code(codes, col, element.bits, code);
      if (values) values[col] = element.value(code) * scale;
    }
  }
}

void quantize_row(const BlockFormat& format, float tensor_scale, const float* x, std::int64_t cols, std::uint8_t* codes,
                  std::byte* scales, float* values) {
  choose_row_scales(format, tensor_scale, x, cols, scales);
  code_row(format, tensor_scale, x, cols, scales, codes, values);
}

void dequantize_row(const BlockFormat& format, float tensor_scale, const std::uint8_t* codes, const std::byte* scales,
                    std::int64_t cols, float* out) {
  const ElementType& element = *format.element;
  const float* values = value_table(element).data();
  const std::int64_t block = format.block_size(cols);
  for (std::int64_t begin = 0; begin < cols; begin += block) {
    const float scale = format.scale
                            ? format.scale->value(load_scale(scales, begin / block, format.scale->bits)) * tensor_scale
                            : tensor_scale;
    for (std::int64_t col = begin; col < begin + block; ++col)
      out[col] = values[packed_code(codes, col, element.bits)] * scale;
  }
}

}  // namespace qad::reference
