// Block scales that are searched: never worse than any code there is, by trying them all.
#include "qad/formats/block_scales.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "qad/formats/quantize.h"
#include "tests/support/near.h"

namespace qad {
namespace {

double error_of(const BlockFormat& format, const float* x, std::int64_t count, std::uint32_t code, float tensor_scale) {
  const float scale = format.scale->value(code) * tensor_scale;
  double error = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const double difference =
        static_cast<double>(x[i]) - format.element->value(format.element->encode(x[i] / scale)) * scale;
    error += difference * difference;
  }
  return error;
}

TEST(BlockScales, AreTheBestOfAllCodes) {
  for (const char* name : {"nvfp4", "mxfp4"}) {
    const BlockFormat& format = block_format(name);
    for (const float spread : {1e-4f, 0.02f, 1.0f, 30.0f}) {
      const std::int64_t rows = 6, cols = 128, block = format.block_size(cols);
      auto x = testing::normal_floats(rows * cols, spread, 5);
      for (std::int64_t i = 0; i < block; ++i) x[static_cast<std::size_t>(i)] = 0.0f;
      x[static_cast<std::size_t>(block)] = 20.0f * spread;  // one that stands out
      x[static_cast<std::size_t>(cols)] = 1e-30f;           // smaller than any scale's step
      const float tensor_scale = tensor_scale_from_amax(format, 25.0f * spread, TensorScaleRound::pow2);
      const Tensor scales = scales_of_least_error(format, x.data(), rows, cols, tensor_scale);
      QuantizedTensor usual = QuantizedTensor::allocate(format, rows, cols, tensor_scale);
      quantize(x.data(), usual);
      double searched = 0, by_amax = 0;
      for (std::int64_t b = 0; b < scales.size(); ++b) {
        const float* values = x.data() + b * block;
        const double found = error_of(format, values, block, scales.data<std::uint8_t>()[b], tensor_scale);
        double least = std::numeric_limits<double>::infinity();
        for (std::uint32_t code = 0; code < 256; ++code) {
          const float value = format.scale->value(code);
          if (std::isfinite(value) && value >= kSmallestScale)
            least = std::min(least, error_of(format, values, block, code, tensor_scale));
        }
        EXPECT_EQ(found, least) << name << " block " << b << " of spread " << spread;
        searched += found;
        by_amax += error_of(format, values, block, usual.scales.data<std::uint8_t>()[b], tensor_scale);
      }
      EXPECT_LT(searched, (format.scale == &kE4M3 ? 0.95 : 1.0) * by_amax) << name;
    }
  }
}

// The definition in two halves: chosen by the amax, and coded with what was chosen.
TEST(BlockScales, CodingWithTheUsualOnesIsQuantizing) {
  for (const BlockFormat& format : block_formats()) {
    if (format.scale == nullptr) continue;
    const auto x = testing::normal_floats(4 * 256, 1.0, 3);
    const float tensor_scale = tensor_scale_from_amax(format, 4.0f, TensorScaleRound::none);
    QuantizedTensor usual = QuantizedTensor::allocate(format, 4, 256, tensor_scale);
    const QuantizeStatistics expected = quantize(x.data(), usual);
    QuantizedTensor given = QuantizedTensor::allocate(format, 4, 256, tensor_scale);
    given.scales = usual.scales;
    const QuantizeStatistics found = quantize_with_scales(x.data(), given);
    EXPECT_TRUE(std::ranges::equal(given.codes.span<std::uint8_t>(), usual.codes.span<std::uint8_t>())) << format.name;
    EXPECT_EQ(found.saturated, expected.saturated) << format.name;
  }
}

}  // namespace
}  // namespace qad
