// The gradient through a block's scale, against the complex step with frozen roundings, and by what a function that
// grows with its argument must satisfy.
#include "qad/formats/scale_gradient.h"

#include <gtest/gtest.h>

#include <cmath>

#include "qad/formats/quantize.h"
#include "qad/formats/quantize_reference.h"
#include "tests/support/complex_step.h"
#include "tests/support/near.h"

namespace qad {
namespace {

using testing::Complex;
using testing::Imaginary;
using testing::Real;

constexpr std::int64_t kRows = 5, kCols = 256;
constexpr double kOfBf16 = 1.0 / 256;  // residuals are kept in BF16

std::vector<const BlockFormat*> formats_with_block_scales() {
  std::vector<const BlockFormat*> formats;
  for (const BlockFormat& format : block_formats())
    if (format.scale != nullptr) formats.push_back(&format);
  return formats;
}

struct Case {
  explicit Case(const BlockFormat& of, std::uint64_t stream)
      : format(of),
        block(of.block_size(kCols)),
        x(testing::normal_floats(kRows * kCols, 1.0, stream)),
        d(testing::normal_floats(kRows * kCols, 1.0, stream + 1)),
        codes(QuantizedTensor::allocate(of, kRows, kCols, of.has_tensor_scale ? 0x1p-9f : 1.0f)),
        y(x.size()) {
    quantize_again();
  }
  void quantize_again() { quantize(x.data(), codes, y.data()); }
  [[nodiscard]] float scale(std::int64_t i) const {  // of block i, with the tensor scale
    std::uint32_t code = 0;
    const auto bytes = static_cast<std::int64_t>(format.scale->bits) / 8;
    std::memcpy(&code, codes.scales.raw() + i * bytes, static_cast<std::size_t>(bytes));
    return format.scale->value(code) * codes.tensor_scale;
  }
  [[nodiscard]] std::int64_t peak(std::int64_t i) const {  // the first of the largest
    std::int64_t at = i * block;
    for (std::int64_t j = at; j < (i + 1) * block; ++j)
      if (std::abs(value(j)) > std::abs(value(at))) at = j;
    return at;
  }
  [[nodiscard]] float& value(std::int64_t i) { return x[static_cast<std::size_t>(i)]; }
  [[nodiscard]] float value(std::int64_t i) const { return x[static_cast<std::size_t>(i)]; }
  [[nodiscard]] std::vector<float> backward() const {
    const Tensor gradient = Tensor::from(d, {kRows, kCols});
    pass_through_scale(scale_residuals(x.data(), codes), gradient);
    return {gradient.span().begin(), gradient.span().end()};
  }

  const BlockFormat& format;
  std::int64_t block;
  std::vector<float> x, d;
  QuantizedTensor codes;
  std::vector<float> y;
};

// y = F·(x/F + what rounding added), or ±M·F, where F = |x of the amax|/M + what rounding added.
Complex with_frozen_roundings(const Case& at, const Imaginary& x) {
  const double largest = at.format.element->max;
  Complex sum = 0;
  for (std::int64_t b = 0; b < kRows * kCols / at.block; ++b) {
    const auto peak = static_cast<std::size_t>(at.peak(b));
    const double scale = at.scale(b), sign = std::copysign(1.0, at.x[peak]);
    const Complex amax_over_largest = sign * x[peak] / largest;
    const Complex moved = amax_over_largest + (scale - std::abs(static_cast<double>(at.x[peak])) / largest);
    for (auto i = static_cast<std::size_t>(b * at.block); i < static_cast<std::size_t>((b + 1) * at.block); ++i) {
      const double u = static_cast<double>(at.x[i]) / scale, rounding = static_cast<double>(at.y[i]) / scale - u;
      const bool beyond = std::abs(at.x[i]) > at.format.element->max * at.scale(b);
      const Complex y = beyond ? moved * std::copysign(largest, u) : x[i] + moved * rounding;
      sum += static_cast<double>(at.d[i]) * y;
    }
  }
  return sum;
}

TEST(ScaleGradient, AgreesWithTheComplexStep) {
  int beyond = 0;
  for (const BlockFormat* format : formats_with_block_scales()) {
    Case at(*format, 1);
    for (std::int64_t b = 0; b < kRows * kCols / at.block; ++b)
      beyond += std::abs(at.value(at.peak(b))) > format->element->max * at.scale(b) ? 1 : 0;
    const Real expected = testing::complex_step_gradient(
        testing::doubles(at.x), [&](const Imaginary& x) { return with_frozen_roundings(at, x); });
    testing::expect_gradient(std::string(format->name), testing::doubles(at.backward()), expected, kOfBf16);
  }
  EXPECT_GT(beyond, 20);
}

// Where the scale is the amax over M to the bit, y(c·x) = c·y(x), so that Σ d·y = Σ dx·x: a wrong sign would show.
TEST(ScaleGradient, OfWhatGrowsWithItsArgument) {
  for (const BlockFormat* format : formats_with_block_scales()) {
    Case at(*format, 3);
    for (std::int64_t b = 0; b < kRows * kCols / at.block; ++b) {
      float& peak = at.value(at.peak(b));
      peak = std::copysign(format->element->max * at.scale(b), peak);
      for (std::int64_t i = b * at.block; i < (b + 1) * at.block; ++i)
        if (std::abs(at.value(i)) > std::abs(peak)) at.value(i) = 0.5f * peak;
    }
    at.quantize_again();
    const std::vector<float> dx = at.backward();
    double of_y = 0, of_x = 0, without = 0, magnitude = 0;
    for (std::size_t i = 0; i < dx.size(); ++i) {
      of_y += static_cast<double>(at.d[i]) * at.y[i];
      of_x += static_cast<double>(dx[i]) * at.x[i];
      without += static_cast<double>(at.d[i]) * at.x[i];
      magnitude += std::abs(static_cast<double>(at.d[i]) * (at.y[i] - at.x[i]));
    }
    EXPECT_NEAR(of_y, of_x, kOfBf16 * magnitude) << format->name;
    EXPECT_GT(std::abs(of_y - without), 2 * std::abs(of_y - of_x)) << format->name;
  }
}

TEST(ScaleGradient, GoesToTheFirstOfEqualAmaxesAndToNoneWhereTheScaleStays) {
  Case at(block_format("nvfp4"), 5);
  const float most = at.format.saturation_limit(at.codes.tensor_scale);
  for (std::int64_t i = 0; i < 16; ++i) {
    at.value(i) = i % 4 == 2 ? -2.0f : 0.3f;         // four amaxes
    at.value(16 + i) = 0.0f;                         // none
    at.value(32 + i) = i == 5 ? 1.5f * most : 0.4f;  // beyond the largest scale
    at.value(48 + i) = i == 5 ? 1e-6f : 0.4e-6f;     // below the smallest
  }
  at.quantize_again();
  const ScaleResiduals residuals = scale_residuals(at.x.data(), at.codes);
  EXPECT_EQ(residuals.peaks.data()[0], -3.0f);
  for (const int stays : {1, 2, 3}) EXPECT_EQ(residuals.peaks.data()[stays], 0.0f) << stays;
  const std::vector<float> dx = at.backward();
  for (std::size_t i = 0; i < 64; ++i) {
    if (i == 2) continue;
    EXPECT_EQ(dx[i], i == 37 ? 0.0f : at.d[i]) << i;
  }
  EXPECT_NE(dx[2], at.d[2]);
}

TEST(ScaleGradient, HasTheSameBitsAtAnyThreadCount) {
  for (const BlockFormat* format : formats_with_block_scales()) {
    const Case at(*format, 7);
    testing::expect_same_at_any_thread_count(std::string(format->name), [&] { return at.backward(); });
  }
}

}  // namespace
}  // namespace qad
