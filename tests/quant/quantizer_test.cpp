// Quantizers by themselves: observing, freezing, versions, shared scales, straight-through gradients, counts.
#include "qad/quant/quantizer.h"

#include <gtest/gtest.h>

#include <limits>

#include "autograd/base/error.h"
#include "autograd/base/random.h"
#include "autograd/ops/linear.h"
#include "qad/formats/quantize.h"
#include "qad/formats/scale_gradient.h"
#include "qad/quant/packed_tensor.h"

namespace qad {
namespace {

constexpr auto kCalibration = TensorScaleSource::calibration;
constexpr auto kData = TensorScaleSource::data;

Tensor normal(const Shape& shape, std::uint64_t seed, double deviation = 1.0) {
  Random random(seed, stream_of("test"));
  Tensor result(shape);
  for (float& value : result.span()) value = static_cast<float>(deviation * random.normal());
  return result;
}

Tensor scaled(const Tensor& x, float factor) {
  Tensor result = x.clone();
  for (float& value : result.span()) value *= factor;
  return result;
}

std::vector<float> quantized_values(const Tensor& x) { return {x.span().begin(), x.span().end()}; }

float amax_of(const Tensor& x) { return amax(x.data(), x.size()); }

std::shared_ptr<TensorScale> make_scale(const char* format = "nvfp4") {
  return std::make_shared<TensorScale>("layer.input", block_format(format), TensorScaleRound::pow2);
}

TEST(ActivationQuantizer, ObservesThenQuantizesWithAFrozenScale) {
  const auto scale = make_scale();
  ActivationQuantizer quantizer("layer.input", scale, StraightThrough::identity);
  const Tensor small = normal({4, 32}, 1), large = scaled(normal({4, 32}, 2), 3.0f);
  EXPECT_EQ(quantized_values(quantizer.apply(small, 0).value), quantized_values(small));
  EXPECT_EQ(quantized_values(quantizer.apply(large, 0).operand->expand()), quantized_values(large));
  EXPECT_EQ(quantized_values(quantizer.apply(small, 0).value), quantized_values(small));
  EXPECT_EQ(scale->amax(), amax_of(large));

  quantizer.set_observing(false);
  scale->end_observing(kCalibration);
  const TransformResult result = quantizer.apply(small, 0);
  const float expected_scale = tensor_scale_from_amax(block_format("nvfp4"), amax_of(large), TensorScaleRound::pow2);
  EXPECT_EQ(scale->value(), expected_scale);
  QuantizedTensor codes = QuantizedTensor::allocate(block_format("nvfp4"), 4, 32, expected_scale);
  std::vector<float> expected(128);
  quantize(small.data(), codes, expected.data());
  EXPECT_EQ(quantized_values(result.value), expected);
  EXPECT_EQ(quantized_values(result.operand->expand()), expected);
  EXPECT_EQ(result.operand->bytes(), 128u * 9 / 16);  // 4.5 bits a value
  EXPECT_FALSE(result.backward);
  EXPECT_EQ(quantizer.take_saturation().values, 128);
  EXPECT_EQ(quantizer.take_saturation().values, 0);
}

TEST(ActivationQuantizer, FollowsTheDataIfAsked) {
  const auto scale = make_scale();
  ActivationQuantizer quantizer("layer.input", scale, StraightThrough::identity);
  quantizer.set_observing(false);
  scale->end_observing(kData);  // no calibration needed
  for (const float factor : {1.0f, 100.0f, 0.01f}) {
    const Tensor x = scaled(normal({2, 16}, 3), factor);
    static_cast<void>(quantizer.apply(x, 0));
    EXPECT_EQ(scale->value(), tensor_scale_from_amax(block_format("nvfp4"), amax_of(x), TensorScaleRound::pow2));
  }
  EXPECT_EQ(quantizer.take_saturation().saturated, 0);
}

TEST(ActivationQuantizer, TakesBf16) {
  const auto scale = make_scale("fp8");
  ActivationQuantizer quantizer("layer.keys", scale, StraightThrough::identity);
  const Tensor x = normal({3, 5}, 4).to(DType::bf16);
  static_cast<void>(quantizer.apply(x, 0));
  quantizer.set_observing(false);
  scale->end_observing(kCalibration);
  const Tensor y = quantizer.apply(x, 0).value, exact = x.to(DType::f32);
  for (std::int64_t i = 0; i < 15; ++i) EXPECT_NEAR(y.data()[i], exact.data()[i], std::abs(exact.data()[i]) / 15);
}

TEST(ActivationQuantizer, NamesAnInputThatIsNotFinite) {
  for (const bool observing : {true, false}) {
    const auto scale = make_scale();
    ActivationQuantizer quantizer("model.layers.3.mlp.gate_up_proj.input", scale, StraightThrough::identity);
    const Tensor x = normal({2, 16}, 5);
    static_cast<void>(quantizer.apply(x, 0));
    scale->end_observing(kCalibration);
    quantizer.set_observing(observing);
    x.data()[7] = std::numeric_limits<float>::quiet_NaN();
    try {
      static_cast<void>(quantizer.apply(x, 0));
      FAIL();
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("model.layers.3.mlp.gate_up_proj.input"), std::string::npos);
    }
  }
}

TEST(ActivationQuantizer, WhatIsRecomputedCountsOnce) {
  const auto scale = make_scale();
  const auto quantizer = std::make_shared<ActivationQuantizer>("layer.input", scale, StraightThrough::identity);
  const Tensor x = normal({2, 16}, 6);
  static_cast<void>(quantizer->apply(x, 0));
  quantizer->set_observing(false);
  scale->end_observing(kCalibration);
  x.data()[3] = 2.0f * block_format("nvfp4").saturation_limit(scale->value());
  const Variable output = recompute([&](const Variable& v) { return transformed(v, quantizer); }, Variable::leaf(x));
  backward(output, Tensor::full({2, 16}, 1.0f));
  const SaturationCount count = quantizer->take_saturation();
  EXPECT_EQ(count.values, 32);
  EXPECT_EQ(count.saturated, 1);
}

TEST(ActivationQuantizer, ClipStopsTheGradientOfWhatSaturates) {
  for (const auto ste : {StraightThrough::identity, StraightThrough::clip}) {
    const auto scale = make_scale();
    const auto quantizer = std::make_shared<ActivationQuantizer>("layer.input", scale, ste);
    const Tensor x = normal({2, 16}, 6);
    static_cast<void>(quantizer->apply(x, 0));
    quantizer->set_observing(false);
    scale->end_observing(kCalibration);
    const float limit = block_format("nvfp4").saturation_limit(scale->value());
    x.data()[3] = 1.1f * limit, x.data()[20] = -2.0f * limit, x.data()[21] = limit;

    const Variable input = Variable::leaf(x);
    const Variable output = transformed(input, quantizer);
    EXPECT_EQ(output.value().data()[20], -limit);
    backward(output, Tensor::full({2, 16}, 1.0f));
    for (std::int64_t i = 0; i < 32; ++i) {
      const bool stopped = ste == StraightThrough::clip && (i == 3 || i == 20);
      EXPECT_EQ(input.sink()->gradient().data()[i], stopped ? 0.0f : 1.0f) << i;
    }
    EXPECT_EQ(quantizer->take_saturation().saturated, 2);
  }
}

TEST(ActivationQuantizer, PassesTheGradientThroughItsScalesWhereItIsRecorded) {
  const auto scale = make_scale();
  const auto quantizer = std::make_shared<ActivationQuantizer>("layer.input", scale, StraightThrough::through_scale);
  const Tensor x = normal({4, 32}, 11), d = normal({4, 32}, 12);
  static_cast<void>(quantizer->apply(x, 0));
  quantizer->set_observing(false);
  scale->end_observing(kCalibration);
  {
    const NoGradScope no_grad;
    EXPECT_FALSE(quantizer->apply(x, 0).backward);
  }
  const Variable input = Variable::leaf(x);
  const Variable output = transformed(input, quantizer);
  const auto codes = std::dynamic_pointer_cast<const PackedTensor>(quantizer->apply(x, 0).operand);
  const Tensor expected = d.clone();
  pass_through_scale(scale_residuals(x.data(), codes->tensor()), expected);
  backward(output, d);
  EXPECT_EQ(quantized_values(input.sink()->gradient()), quantized_values(expected));
  EXPECT_NE(quantized_values(expected), quantized_values(d));
  EXPECT_THROW(ActivationQuantizer("layer.keys", make_scale("fp8"), StraightThrough::through_scale), Error);
}

TEST(TensorScale, HasRoomForMoreThanCalibrationSawAndNotForMoreThanTheDataAre) {
  for (const TensorScaleRound round : {TensorScaleRound::none, TensorScaleRound::pow2}) {
    TensorScale scale("layer.input", block_format("nvfp4"), round, kCalibration, 8);
    scale.observe(3.0f);
    for (int again = 0; again < 2; ++again) {  // an export's check ends it once more
      scale.end_observing(kCalibration);
      EXPECT_EQ(scale.value(), tensor_scale_from_amax(block_format("nvfp4"), 24.0f, round));
      EXPECT_EQ(scale.amax(), 3.0f);
    }
    EXPECT_GE(scale.format().saturation_limit(scale.value()), 24.0f);
    scale.end_observing(kData);
    scale.follow(5.0f);
    EXPECT_EQ(scale.value(), tensor_scale_from_amax(block_format("nvfp4"), 5.0f, round));
  }
}

TEST(TensorScale, RefusesALayerThatCalibrationNeverReached) {
  EXPECT_THROW(make_scale()->end_observing(kCalibration), Error);
  EXPECT_NO_THROW(make_scale("mxfp4")->end_observing(kCalibration));  // has no tensor scale
}

class Weights : public ::testing::Test {
 protected:
  const std::shared_ptr<TensorScale> scale_ = make_scale();
  const ParameterPointer q_ = make_parameter("q_proj.weight", normal({8, 32}, 7), true);
  const ParameterPointer k_ = make_parameter("k_proj.weight", scaled(normal({4, 32}, 8), 5.0f), true);
  WeightQuantizer quantizer_{"q_proj.weight", scale_, StraightThrough::identity};

  void SetUp() override {
    scale_->add_weight(q_);
    scale_->add_weight(k_);
  }
  void end_observing(TensorScaleSource from) {
    quantizer_.set_observing(false);
    scale_->end_observing(from);
  }
  std::shared_ptr<const Operand> applied() { return quantizer_.apply(q_->value(), q_->version()).operand; }
};

TEST_F(Weights, ShareTheScaleOfTheLargest) {
  EXPECT_EQ(quantized_values(applied()->expand()), quantized_values(q_->value()));
  end_observing(kCalibration);
  EXPECT_EQ(scale_->amax(), amax_of(k_->value()));
}

TEST_F(Weights, AreQuantizedOncePerVersion) {
  end_observing(kCalibration);
  const auto first = applied();
  EXPECT_EQ(applied(), first);
  EXPECT_EQ(quantizer_.take_saturation().values, 8 * 32);
  q_->value().data()[0] += 1.0f;
  q_->changed();
  const auto second = applied();
  EXPECT_NE(second, first);
  EXPECT_NE(quantized_values(second->expand()), quantized_values(first->expand()));
  const QuantizedTensor& codes = quantizer_.codes(q_->value(), q_->version());
  EXPECT_EQ(&codes, &dynamic_cast<const PackedTensor&>(*second).tensor());
}

TEST_F(Weights, FrozenScalesStayAndDataScalesMoveWithAnyMember) {
  for (const auto from : {kCalibration, kData}) {
    end_observing(from);
    const auto before = applied();
    const float frozen = scale_->value();
    for (float& value : k_->value().span()) value *= 8.0f;
    k_->changed();
    EXPECT_EQ(applied() == before, from == kCalibration);
    EXPECT_EQ(scale_->value(), from == kCalibration ? frozen : 8.0f * frozen);
    for (float& value : k_->value().span()) value /= 8.0f;
    k_->changed();
  }
}

TEST_F(Weights, PassTheGradientThroughScalesThatFollow) {
  end_observing(kCalibration);
  const auto slot = std::make_shared<WeightQuantizer>("q_proj.weight", scale_, StraightThrough::through_scale);
  slot->set_observing(false);
  {
    const NoGradScope no_grad;  // an evaluation quantizes it first
    static_cast<void>(slot->apply(q_->value(), q_->version()));
  }
  const Variable x = Variable::leaf(normal({3, 32}, 9));
  backward(linear(x, {q_->variable, q_->version(), slot}, {}), normal({3, 8}, 10));
  const Tensor found = q_->variable.sink()->take();
  backward(linear(x, {q_->variable, q_->version(), nullptr}, {}), normal({3, 8}, 10));
  const Tensor expected = q_->variable.sink()->take();
  pass_through_scale(scale_residuals(q_->value().data(), slot->codes(q_->value(), q_->version())), expected);
  EXPECT_EQ(quantized_values(found), quantized_values(expected));
  EXPECT_THROW(slot->search_block_scales(q_->value()), Error);
}

TEST_F(Weights, ReachTheProductAndItsGradient) {
  end_observing(kCalibration);
  const auto slot = std::make_shared<WeightQuantizer>("q_proj.weight", scale_, StraightThrough::identity);
  slot->set_observing(false);
  const Variable x = Variable::leaf(normal({3, 32}, 9));
  const Variable y = linear(x, {q_->variable, q_->version(), slot}, {});
  const Tensor rounded = applied()->expand();
  const Variable expected_x = Variable::leaf(x.value().clone());
  const Variable expected = linear(expected_x, Variable::leaf(rounded), {});
  EXPECT_EQ(quantized_values(y.value()), quantized_values(expected.value()));
  const Tensor dy = normal({3, 8}, 10);
  backward(y, dy.clone());
  backward(expected, dy.clone());
  EXPECT_EQ(quantized_values(x.sink()->gradient()), quantized_values(expected_x.sink()->gradient()));
}

}  // namespace
}  // namespace qad
