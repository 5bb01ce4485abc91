// Products from codes: every code under every scale, all extents, and the same bits whatever runs them.
#include "qad/formats/integer_product.h"

#define HWY_WANT_AVX3_DL  // as integer_product_simd.cpp
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "autograd/base/parallel.h"
#include "autograd/base/random.h"
#include "qad/formats/integer_product_reference.h"
#include "qad/formats/quantize.h"
#include "tests/support/every_target.h"
#include "tests/support/near.h"
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace qad {
namespace {

using testing::for_each_target;

constexpr const char* kFormats[] = {"nvfp4", "mxfp4"};

std::vector<std::uint32_t> bits_of(std::span<const float> values) {
  std::vector<std::uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<std::uint32_t>(value));
  return bits;
}

std::vector<float> product(const QuantizedTensor& x, const QuantizedTensor& w) {
  std::vector<float> out(static_cast<std::size_t>(x.rows * w.rows), -1.0f);
  integer_product(x, interleaved(w), out.data());
  return out;
}

template <class Sum>
std::vector<float> by_reference(const QuantizedTensor& x, const QuantizedTensor& w) {
  std::vector<float> out(static_cast<std::size_t>(x.rows * w.rows));
  reference::integer_product<Sum>(x, w, out.data());
  return out;
}

// Codes of 4 bits by `code(row, column)` and scales by `scale(row, block)`.
template <class Code, class Scale>
QuantizedTensor made_of(const char* format, std::int64_t rows, std::int64_t cols, float tensor_scale, Code&& code,
                        Scale&& scale) {
  auto tensor = QuantizedTensor::allocate(block_format(format), rows, cols, tensor_scale);
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t col = 0; col < cols; col += 2)
      tensor.codes.data<std::uint8_t>()[(row * cols + col) / 2] =
          static_cast<std::uint8_t>(code(row, col) | code(row, col + 1) << 4);
    for (std::int64_t block = 0; block < tensor.scales.cols(); ++block)
      tensor.scales.data<std::uint8_t>()[row * tensor.scales.cols() + block] =
          static_cast<std::uint8_t>(scale(row, block));
  }
  return tensor;
}

// Any codes; scales that a model could have.
QuantizedTensor random_codes(const char* format, std::int64_t rows, std::int64_t cols, float tensor_scale,
                             std::uint64_t stream) {
  Random random(3, stream);
  const bool is_nvfp4 = std::string_view(format) == "nvfp4";
  return made_of(
      format, rows, cols, is_nvfp4 ? tensor_scale : 1.0f,
      [&](std::int64_t, std::int64_t) { return static_cast<unsigned>(random.below(16)); },
      [&](std::int64_t, std::int64_t) { return is_nvfp4 ? random.below(0x7f) : 110 + random.below(30); });
}

// Row i of both has scale i, and in block b code k meets code k + b: all pairs of codes under all pairs of scales.
TEST(IntegerProduct, EveryCodeUnderEveryScale) {
  for (const char* format : kFormats) {
    const std::int64_t block = block_format(format).block, scales = block == 16 ? 127 : 255, cols = 16 * block;
    const auto scale = [](std::int64_t row, std::int64_t) { return static_cast<unsigned>(row); };
    const auto x = made_of(
        format, scales, cols, 1, [](std::int64_t, std::int64_t k) { return static_cast<unsigned>(k % 16); }, scale);
    const auto w = made_of(
        format, scales, cols, 1,
        [&](std::int64_t, std::int64_t k) { return static_cast<unsigned>((k + k / block) % 16); }, scale);
    const auto expected = bits_of(by_reference<float>(x, w));
    for_each_target([&] { EXPECT_EQ(bits_of(product(x, w)), expected) << format; });
    // Within one block nothing rounds at all.
    const auto first_block = [&](const QuantizedTensor& from) {
      return made_of(
          format, from.rows, block, 1,
          [&](std::int64_t row, std::int64_t k) {
            return (from.codes.data<std::uint8_t>()[(row * cols + k + 3 * block) / 2] >> (k % 2 * 4)) & 15u;
          },
          scale);
    };
    const auto short_x = first_block(x), short_w = first_block(w);
    EXPECT_EQ(bits_of(product(short_x, short_w)), bits_of(by_reference<double>(short_x, short_w))) << format;
  }
}

TEST(IntegerProduct, SumsAreWithinTheirRoundingOfExactOnes) {
  for (const char* format : kFormats) {
    const auto x = random_codes(format, 5, 4096, 0x1p-7f, 1), w = random_codes(format, 40, 4096, 0x1p-11f, 2);
    const auto got = product(x, w), exact = by_reference<double>(x, w);
    auto absolute_x = x, absolute_w = w;  // of the same magnitudes, all positive
    for (QuantizedTensor* tensor : {&absolute_x, &absolute_w}) {
      tensor->codes = tensor->codes.clone();
      for (std::uint8_t& codes : tensor->codes.span<std::uint8_t>()) codes &= 0x77;
    }
    const auto magnitudes = by_reference<double>(absolute_x, absolute_w);
    for (std::size_t i = 0; i < got.size(); ++i)
      EXPECT_LE(std::abs(static_cast<double>(got[i]) - exact[i]), 256 * 0x1p-24 * magnitudes[i]);
  }
}

TEST(IntegerProduct, AllExtentsGiveTheBitsOfASingleRow) {
  for (const char* format : kFormats)
    for (const std::int64_t cols : {32, 96, 1056}) {
      const auto w = random_codes(format, 53, cols, 0x1p-9f, 4);
      const auto x = random_codes(format, 150, cols, 0x1p-6f, 5);
      const auto expected = bits_of(by_reference<float>(x, w));
      for_each_target([&] {
        for (const std::int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 64, 65, 150})
          for (const std::int64_t outs : {1, 15, 16, 17, 53}) {
            QuantizedTensor some_x = x, some_w = w;
            some_x.rows = rows;
            some_w.rows = outs;
            for (QuantizedTensor* some : {&some_x, &some_w}) {
              some->codes = some->codes.slice(0, some->rows);
              some->scales = some->scales.slice(0, some->rows);
            }
            const auto got = bits_of(product(some_x, some_w));
            for (std::int64_t m = 0; m < rows; ++m)
              for (std::int64_t n = 0; n < outs; ++n)
                ASSERT_EQ(got[static_cast<std::size_t>(m * outs + n)], expected[static_cast<std::size_t>(m * 53 + n)])
                    << format << " " << rows << " x " << outs << " x " << cols << ": " << m << ", " << n;
          }
      });
    }
}

TEST(IntegerProduct, NeitherThreadsNorFlushingChangeABit) {
  for (const char* format : kFormats) {
    // Subnormal scales, and results below the smallest normal number.
    const bool is_nvfp4 = std::string_view(format) == "nvfp4";
    const auto small = [&](std::int64_t row, std::int64_t) { return static_cast<unsigned>(is_nvfp4 ? row % 12 : row); };
    const auto code = [](std::int64_t row, std::int64_t k) { return static_cast<unsigned>((row * 7 + k * 5) % 16); };
    const auto x = made_of(format, 90, 64, is_nvfp4 ? 0x1p-60f : 1, code, small);
    const auto w = made_of(format, 70, 64, is_nvfp4 ? 0x1p-58f : 1, code, small);
    const auto expected = bits_of(by_reference<float>(x, w));
    EXPECT_GT(std::ranges::count_if(expected, [](std::uint32_t bits) { return bits != 0; }), is_nvfp4 ? 10 : 0);
    for (const int count : {1, 2, 3, 4}) {
      set_threads(count);
      EXPECT_EQ(bits_of(product(x, w)), expected) << format;
    }
    set_threads(1);
#if defined(__SSE__)
    for_each_target([&] {
      const unsigned mode = _mm_getcsr();
      _mm_setcsr(mode | 0x8040u);  // FTZ and DAZ
      const auto flushed = product(x, w);
      _mm_setcsr(mode);
      EXPECT_EQ(bits_of(flushed), expected) << format;
    });
#endif
    set_threads(0);
  }
}

TEST(IntegerProduct, TensorScalesThatAreNoPowersOfTwoRoundOnceAtTheEnd) {
  const auto x = random_codes("nvfp4", 9, 256, 1.0f, 6), w = random_codes("nvfp4", 35, 256, 1.0f, 7);
  const auto sums = product(x, w);
  auto scaled_x = x, scaled_w = w;
  scaled_x.tensor_scale = 0.0123f;
  scaled_w.tensor_scale = 0.37f;
  const double both = static_cast<double>(0.0123f) * static_cast<double>(0.37f);
  const auto got = product(scaled_x, scaled_w);
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_EQ(got[i], static_cast<float>(static_cast<double>(sums[i]) * both)) << i;
}

// As the values give it, where products of values are exact.
TEST(IntegerProduct, IsThatOfTheValues) {
  for (const char* format : kFormats) {
    const auto x = random_codes(format, 6, 128, 0x1p-6f, 8), w = random_codes(format, 20, 128, 0x1p-8f, 9);
    std::vector<float> x_values(6 * 128), w_values(20 * 128);
    dequantize_rows(x, 0, 6, x_values.data());
    dequantize_rows(w, 0, 20, w_values.data());
    const auto got = product(x, w);
    for (std::size_t m = 0; m < 6; ++m)
      for (std::size_t n = 0; n < 20; ++n) {
        double sum = 0, magnitude = 0;
        for (std::size_t k = 0; k < 128; ++k) {
          const double term = static_cast<double>(x_values[m * 128 + k]) * static_cast<double>(w_values[n * 128 + k]);
          sum += term;
          magnitude += std::abs(term);
        }
        EXPECT_NEAR(got[m * 20 + n], sum, 8 * 0x1p-24 * magnitude);
      }
  }
}

// 2^127·2^127 is beyond FP32, and so is the result, but not that of codes that are zero.
TEST(IntegerProduct, PowersOfTwoBeyondFp32AreInfinite) {
  const auto huge = [](std::int64_t, std::int64_t) { return 254u; };
  const auto ones = made_of(
      "mxfp4", 1, 32, 1, [](std::int64_t, std::int64_t) { return 2u; }, huge);
  const auto zeros = made_of(
      "mxfp4", 1, 32, 1, [](std::int64_t, std::int64_t) { return 0u; }, huge);
  for_each_target([&] {
    EXPECT_EQ(product(ones, ones), std::vector{std::numeric_limits<float>::infinity()});
    EXPECT_EQ(product(ones, zeros), std::vector{0.0f});
  });
}

TEST(InterleavedRows, KeepEveryCodeAndScale) {
  for (const char* format : kFormats)
    for (const std::int64_t rows : {1, 16, 45}) {
      const QuantizedTensor tensor = random_codes(format, rows, 96, 0.5f, 10);
      const InterleavedRows group = interleaved(tensor);
      const QuantizedTensor back = separated(group, 0, rows);
      EXPECT_TRUE(std::ranges::equal(back.codes.span<std::uint8_t>(), tensor.codes.span<std::uint8_t>()));
      EXPECT_TRUE(std::ranges::equal(back.scales.span<std::uint8_t>(), tensor.scales.span<std::uint8_t>()));
      EXPECT_EQ(back.tensor_scale, tensor.tensor_scale);
      const QuantizedTensor last = separated(group, rows - 1, rows);
      EXPECT_TRUE(
          std::ranges::equal(last.codes.span<std::uint8_t>(), tensor.codes.slice(rows - 1, rows).span<std::uint8_t>()));
    }
}

}  // namespace
}  // namespace qad
