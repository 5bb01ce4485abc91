// What the product of two matrices of E2M1 codes is (integer_product.h), one element at a time. With Sum = double it is
// the oracle: there the sum over blocks is exact as long as it stays below 2^33 (NVFP4).
#pragma once

#include <cmath>
#include <limits>

#include "qad/formats/pack.h"
#include "qad/formats/quantized_tensor.h"

namespace qad::reference {

/// The product of two block scales; powers of two (E8M0) that FP32 can't hold as normal numbers are 0 or infinite.
[[nodiscard]] inline float scale_product(const BlockFormat& format, std::uint32_t a, std::uint32_t b) {
  if (format.scale != &kE8M0) return format.scale->value(a) * format.scale->value(b);
  const int exponent = static_cast<int>(a) + static_cast<int>(b) - 2 * 127;
  return exponent < -126 ? 0.0f : exponent > 127 ? std::numeric_limits<float>::infinity() : std::ldexp(1.0f, exponent);
}

/// The sum times the tensor scales (and ¼, since codes were doubled), rounded once; below the smallest normal number 0.
[[nodiscard]] inline float scaled_sum(double sum, double tensor_scales) {
  const auto result = static_cast<float>(sum * tensor_scales);
  return std::abs(result) < std::numeric_limits<float>::min() ? 0.0f : result;
}

template <class Sum>
[[nodiscard]] Sum block_sums(const QuantizedTensor& x, std::int64_t m, const QuantizedTensor& w, std::int64_t n) {
  const BlockFormat& format = *x.format;
  const std::int64_t blocks = x.cols / format.block;
  const auto row_of = [](const Tensor& tensor, std::int64_t row) {
    return tensor.data<std::uint8_t>() + row * tensor.cols();
  };
  Sum sum = 0;
  for (std::int64_t block = 0; block < blocks; ++block) {
    int of_block = 0;
    for (std::int64_t k = block * format.block; k < (block + 1) * format.block; ++k) {
      const auto doubled = [&](const QuantizedTensor& tensor, std::int64_t row) {
        return static_cast<int>(2 * kE2M1.value(packed_code(row_of(tensor.codes, row), k, 4)));
      };
      of_block += doubled(x, m) * doubled(w, n);
    }
    const float scale = scale_product(format, row_of(x.scales, m)[block], row_of(w.scales, n)[block]);
    if (of_block != 0) sum += static_cast<Sum>(static_cast<float>(of_block) * scale);
  }
  return sum;
}

/// x·wᵀ [x.rows, w.rows].
template <class Sum>
void integer_product(const QuantizedTensor& x, const QuantizedTensor& w, float* out) {
  const double tensor_scales = 0.25 * static_cast<double>(x.tensor_scale) * static_cast<double>(w.tensor_scale);
  for (std::int64_t m = 0; m < x.rows; ++m)
    for (std::int64_t n = 0; n < w.rows; ++n)
      out[m * w.rows + n] = scaled_sum(static_cast<double>(block_sums<Sum>(x, m, w, n)), tensor_scales);
}

}  // namespace qad::reference
