// Scales that are trained: gradients against the complex step with frozen roundings, and what a weight's quantizer does
// with them.
#include "qad/quant/learned_scales.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>

#include "autograd/ops/linear.h"
#include "autograd/optim/adamw.h"
#include "qad/calib/calibrate.h"
#include "qad/formats/block_scales.h"
#include "qad/formats/scale_gradient.h"
#include "tests/support/complex_step.h"
#include "tests/support/near.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

using testing::Complex;
using testing::Imaginary;
using testing::Real;

constexpr std::int64_t kRows = 3, kCols = 128;

struct Learned {
  Learned(const char* name, bool dual) : format(block_format(name)), scales("w", format, {kRows, kCols}, dual) {
    const auto moves = testing::normal_floats(4096, 0.4, 9);  // so that some values are beyond the range
    for (const ParameterPointer& parameter : scales.parameters()) {
      for (std::int64_t i = 0; i < parameter->value().size(); ++i)
        parameter->value().data()[i] += moves[static_cast<std::size_t>(parameter->value().size() + i)];
      parameter->changed();
    }
  }
  // Short numbers, of which many lie half-way between codes.
  static std::vector<float> with_ties() {
    auto values = testing::normal_floats(kRows * kCols, 1.0, 5);
    for (float& value : values) value = std::round(64 * value) / 64;
    return values;
  }
  [[nodiscard]] float tensor_scale() const { return format.has_tensor_scale ? 0x1p-10f : 1.0f; }
  [[nodiscard]] Tensor searched() const {
    if (scales_can_be_searched(format))
      return scales_of_least_error(format, weight.data(), kRows, kCols, tensor_scale());
    QuantizedTensor codes = QuantizedTensor::allocate(format, kRows, kCols, tensor_scale());
    quantize(weight.data(), codes);
    return codes.scales;
  }
  // dw, then the gradients of the masters, one after the other.
  [[nodiscard]] std::vector<float> gradients(bool clip) const {
    const LearnedScales::Result result = scales.quantized(weight, found, tensor_scale(), clip);
    const Tensor gradient = Tensor::from(d, {kRows, kCols});
    result.backward(gradient);
    std::vector<float> all(gradient.span().begin(), gradient.span().end());
    for (const ParameterPointer& parameter : scales.parameters()) {
      const Tensor own = parameter->variable.sink()->take();
      all.insert(all.end(), own.span().begin(), own.span().end());
    }
    return all;
  }

  const BlockFormat& format;
  Tensor weight = Tensor::from(with_ties(), {kRows, kCols});
  std::vector<float> d = testing::normal_floats(kRows * kCols, 1.0, 6);
  Tensor found = searched();
  LearnedScales scales;
};

constexpr std::array<const char*, 6> kFormats = {"nvfp4", "mxfp4", "fp8_channel", "int8", "int4_g128", "nf4_g64"};

// y = F·q with F = found·2^m and what rounding added, q = w/f and what rounding added, or ±M; f is F where they are
// tied.
Complex with_frozen_roundings(const Learned& at, const LearnedScales::Result& result, const Imaginary& x, bool dual,
                              bool clip, int& beyond) {
  const double largest = at.format.element->max;
  const std::int64_t block = at.format.block_size(kCols), blocks = at.format.blocks_per_row(kCols);
  const Tensor coded = block_scale_values(result.codes);
  QuantizedTensor before = result.codes;
  before.scales = at.found;
  const Tensor beginnings = block_scale_values(before);
  std::vector<float> y(static_cast<std::size_t>(kRows * kCols));
  dequantize_rows(result.codes, 0, kRows, y.data());
  const auto size = static_cast<std::size_t>(kRows * kCols), masters = static_cast<std::size_t>(kRows * blocks);
  beyond = 0;
  Complex sum = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const std::size_t b = i / static_cast<std::size_t>(block);
    const Complex log_f = x[size + b], log_value = dual ? x[size + masters + b] : log_f;
    const double found = beginnings.data()[b];
    const Complex exact = found * std::exp(log_value * std::log(2.0));
    const double scale = coded.data()[b], rounded_scale = scale - exact.real();
    const Complex value = exact + rounded_scale;
    const Complex f = dual ? found * std::exp(log_f * std::log(2.0)) : value;
    const double code = static_cast<double>(y[i]) / scale, w = at.weight.data()[i];
    const bool is_beyond = std::abs(w) > largest * f.real();
    beyond += is_beyond ? 1 : 0;
    // Straight through to w, whatever the two scales are: dy/dw = 1, or 0 beyond the range with `clip`.
    const double in_w = is_beyond && clip ? 0 : 1;
    const Complex q = is_beyond ? Complex(std::copysign(largest, w)) : w / f + (code - w / f.real());
    sum += static_cast<double>(at.d[i]) * (value * q + in_w * (x[i] - w));
  }
  return sum;
}

TEST(LearnedScales, GradientsAgreeWithTheComplexStep) {
  for (const char* name : kFormats)
    for (const bool dual : {false, true})
      for (const bool clip : {false, true}) {
        SCOPED_TRACE(std::string(name) + (dual ? ", dual" : ", tied") + (clip ? ", clip" : ""));
        const Learned at(name, dual);
        const LearnedScales::Result result = at.scales.quantized(at.weight, at.found, at.tensor_scale(), clip);
        Real point(at.weight.span().begin(), at.weight.span().end());
        for (const ParameterPointer& parameter : at.scales.parameters())
          point.insert(point.end(), parameter->value().span().begin(), parameter->value().span().end());
        int beyond = 0;
        const Real expected = testing::complex_step_gradient(
            point, [&](const Imaginary& x) { return with_frozen_roundings(at, result, x, dual, clip, beyond); });
        EXPECT_GT(beyond, 0);
        const Real found = testing::doubles(at.gradients(clip));
        const std::ptrdiff_t weights = kRows * kCols;
        testing::expect_gradient("dw", {found.begin(), found.begin() + weights},
                                 {expected.begin(), expected.begin() + weights}, 1e-12);
        testing::expect_gradient("masters", {found.begin() + weights, found.end()},
                                 {expected.begin() + weights, expected.end()}, 1.0 / 256);
      }
}

TEST(LearnedScales, HaveTheSameBitsAtAnyThreadCount) {
  for (const bool dual : {false, true})
    testing::expect_same_at_any_thread_count("nvfp4", [&] { return Learned("nvfp4", dual).gradients(true); });
}

TEST(LearnedScales, BeginAsTheScalesThatWereFound) {
  for (const char* name : kFormats)
    for (const bool dual : {false, true}) {
      const Learned at(name, dual);
      LearnedScales fresh("w", at.format, {kRows, kCols}, dual);
      fresh.start();
      QuantizedTensor expected = QuantizedTensor::allocate(at.format, kRows, kCols, at.tensor_scale());
      expected.scales = at.found;
      quantize_with_scales(at.weight.data(), expected);
      const QuantizedTensor found = fresh.quantized(at.weight, at.found, at.tensor_scale(), false).codes;
      EXPECT_EQ(std::memcmp(found.scales.raw(), expected.scales.raw(), found.scales.bytes()), 0) << name;
      EXPECT_EQ(std::memcmp(found.codes.raw(), expected.codes.raw(), found.codes.bytes()), 0) << name;
    }
}

TEST(BlockScalesOfWeights, StayAsCalibrationFoundThem) {
  const auto model = initialize_model(testing::small_config(false), 1);
  QuantizeConfig config = testing::quantize_blocks("nvfp4", "nvfp4");
  config.scales = BlockScales::found;
  QuantizerSet set = attach_quantizers(*model, config);
  calibrate(*model, set, {testing::small_batch()});
  for (const LinearQuantizers& linear : set.linears()) {
    if (!linear.weights) continue;
    const Tensor& weight = linear.weight->value();
    const auto scales = [&] {
      const auto span = linear.weights->codes(weight, linear.weight->version()).scales.span<std::uint8_t>();
      return std::vector<std::uint8_t>(span.begin(), span.end());
    };
    const auto before = scales();
    QuantizedTensor usual = QuantizedTensor::allocate(linear.weights->format(), weight.rows(), weight.cols(),
                                                      linear.weights->scale().value());
    quantize(weight.data(), usual);
    EXPECT_TRUE(std::ranges::equal(before, usual.scales.span<std::uint8_t>()));
    for (float& value : weight.span()) value *= 1.5f;
    linear.weight->changed();
    EXPECT_EQ(scales(), before);
  }
  EXPECT_EQ(set.state_tensors().size(), 14u);
  EXPECT_TRUE(set.parameters().empty());
}

// A weight that is a constant still has its scales trained.
TEST(BlockScalesOfWeights, LearnThoughTheWeightIsFrozen) {
  for (const bool frozen : {false, true}) {
    const auto weight = make_parameter("w", Tensor::from(testing::normal_floats(8 * 32, 1.0, 3), {8, 32}), !frozen);
    const auto scale = std::make_shared<TensorScale>("w", block_format("nvfp4"), TensorScaleRound::pow2);
    scale->add_weight(weight);
    scale->end_observing(TensorScaleSource::calibration);
    const auto quantizer = std::make_shared<WeightQuantizer>("w", scale, StraightThrough::identity);
    quantizer->set_scales(BlockScales::dual_lsq, weight->shape());
    quantizer->settle_scales(weight->value());
    quantizer->set_observing(false);
    weight->slot = quantizer;
    const Variable x(Tensor::from(testing::normal_floats(3 * 32, 1.0, 4), {3, 32}));
    const Variable y = linear(x, weight->operand(), {});
    ASSERT_TRUE(y.needs_gradient());
    backward(y);
    for (const ParameterPointer& parameter : quantizer->parameters())
      EXPECT_GT(gradient_norm({parameter}), 0) << parameter->name;
    EXPECT_EQ(weight->trained(), !frozen);
  }
}

}  // namespace
}  // namespace qad
