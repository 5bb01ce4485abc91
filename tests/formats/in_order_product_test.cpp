// Products of floats with codes of every format: the bits of the dequantized weights, multiplied in order of k.
#include "qad/formats/in_order_product.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "autograd/base/random.h"
#include "autograd/kernels/gemm_in_order.h"
#include "autograd/kernels/simd_targets.h"
#include "qad/formats/quantize.h"
#include "tests/support/every_target.h"
#include "tests/support/near.h"

namespace qad {
namespace {

using testing::for_each_target;

// The smallest width of whole blocks, and a wider one; formats of whole rows take any.
std::vector<std::int64_t> widths(const BlockFormat& format) {
  const std::int64_t block = format.block_size(37);
  if (block == 37) return {1, 37, 300};
  return {block, 3 * block, 17 * block};
}

// Values of a model, then codes as random as they come: every code meets every place.
QuantizedTensor random_codes(const BlockFormat& format, std::int64_t rows, std::int64_t cols) {
  auto tensor = QuantizedTensor::allocate(format, rows, cols, format.has_tensor_scale ? 0.0123f : 1.0f);
  quantize(testing::normal_floats(rows * cols, 3.0, 1).data(), tensor);
  Random random(5, 1);
  const bool has_nan = format.element == &kE4M3;
  for (std::uint8_t& code : tensor.codes.span<std::uint8_t>()) {
    code = static_cast<std::uint8_t>(random.below(256));
    if (has_nan && (code & 0x7fu) == 0x7fu) code = 0x7e;
  }
  return tensor;
}

QuantizedTensor first_rows(const QuantizedTensor& tensor, std::int64_t rows) {
  QuantizedTensor some = tensor;
  some.rows = rows;
  some.codes = tensor.codes.slice(0, rows);
  if (tensor.scales.defined()) some.scales = tensor.scales.slice(0, rows);
  return some;
}

std::vector<float> by_values(const Tensor& x, const QuantizedTensor& w) {
  std::vector<float> values(static_cast<std::size_t>(w.rows * w.cols));
  dequantize_rows(w, 0, w.rows, values.data());
  std::vector<float> out(static_cast<std::size_t>(x.rows() * w.rows));
  kernels::gemm_in_order(x.rows(), w.rows, w.cols, x.data(), w.cols, values.data(), w.cols, out.data(), w.rows);
  return out;
}

template <class Weight>
std::vector<float> by_codes(const Tensor& x, const Weight& w) {
  std::vector<float> out(static_cast<std::size_t>(x.rows() * w.rows), -1.0f);
  in_order_product(x, w, out.data());
  return out;
}

TEST(InOrderProduct, GivesTheBitsOfTheValuesMultipliedInOrder) {
  for (const BlockFormat& format : block_formats())
    for (const std::int64_t cols : widths(format)) {
      const QuantizedTensor all = random_codes(format, 53, cols);
      const Tensor x = Tensor::from(testing::normal_floats(100 * cols, 1.0, 2), {100, cols});
      for_each_target([&] {
        for (const std::int64_t rows : {1, 2, 7, 97})
          for (const std::int64_t outs : {1, 15, 16, 17, 32, 33, 53}) {
            const QuantizedTensor w = first_rows(all, outs);
            const Tensor some = x.slice(0, rows);
            const auto expected = by_values(some, w);
            EXPECT_EQ(by_codes(some, w), expected) << format.name << " " << rows << "x" << cols << "x" << outs;
            if (can_be_interleaved(format)) {
              EXPECT_EQ(by_codes(some, interleaved(w)), expected) << format.name;
            }
          }
      });
    }
}

// A block a row, each under another scale: all that are finite.
TEST(InOrderProduct, EveryScaleOfABlock) {
  for (const char* name : {"nvfp4", "mxfp4"}) {
    const BlockFormat& format = block_format(name);
    const std::int64_t scales = format.scale == &kE4M3 ? 127 : 250;  // beyond, six times it is no FP32 number
    auto w = QuantizedTensor::allocate(format, scales, format.block, 1.0f);
    for (std::int64_t row = 0; row < scales; ++row) {
      w.scales.data<std::uint8_t>()[row] = static_cast<std::uint8_t>(row);
      for (std::int64_t i = 0; i < format.block / 2; ++i)
        w.codes.data<std::uint8_t>()[row * format.block / 2 + i] =
            static_cast<std::uint8_t>(0x10 * (2 * i + 1) + 2 * i);
    }
    const Tensor x = Tensor::from(testing::normal_floats(3 * format.block, 1.0, 2), {3, format.block});
    for_each_target([&] {
      for (const std::int64_t rows : {1, 3})
        EXPECT_EQ(by_codes(x.slice(0, rows), interleaved(w)), by_values(x.slice(0, rows), w)) << name;
    });
  }
}

TEST(InOrderProduct, NoNumberStaysNone) {
  auto w = QuantizedTensor::allocate(block_format("fp8"), 2, 8, 1.0f);
  for (std::uint8_t& code : w.codes.span<std::uint8_t>()) code = 0x38;  // 1
  w.codes.data<std::uint8_t>()[3] = 0x7f;
  const auto out = by_codes(Tensor::full({1, 8}, 1.0f), w);
  EXPECT_TRUE(std::isnan(out[0]));
  EXPECT_EQ(out[1], 8.0f);
}

}  // namespace
}  // namespace qad
