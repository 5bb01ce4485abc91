// Options of a rule act on its layers and on no others: how scales are found, rounded and where they come from, how the
// gradient passes, and what a fused group must agree on.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "autograd/base/error.h"
#include "qad/calib/calibrate.h"
#include "qad/formats/block_scales.h"
#include "tests/support/error_of.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

using testing::small_batch;

constexpr const char* kDown = "model.layers.1.mlp.down_proj";

ModelConfig untied_model() { return testing::small_config(false); }

// NVFP4 in all layers but the head, and a last rule for those of `layers`.
QuantizeConfig with_rule(const std::string& layers, const std::string& inputs = "nvfp4") {
  QuantizeConfig config = testing::quantize_blocks("nvfp4", inputs);
  config.rules.push_back({layers, "nvfp4", inputs});
  return config;
}

const LinearQuantizers& linear_of(const QuantizerSet& set, const std::string& layer) {
  return *std::ranges::find(set.linears(), layer, &LinearQuantizers::layer);
}

bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() && std::equal(a.raw(), a.raw() + a.bytes(), b.raw());
}

TEST(RuleOptions, AnAlgorithmFindsTheScalesOfItsLayersAlone) {
  const auto model = initialize_model(untied_model(), 1);
  QuantizeConfig config = with_rule(kDown);
  config.rules.back().algorithm = CalibrationKind::mse;
  QuantizerSet set = attach_quantizers(*model, config);
  calibrate(*model, set, {small_batch()});
  const auto tensors = set.state_tensors();
  ASSERT_EQ(tensors.size(), 1u);
  EXPECT_EQ(tensors.begin()->first, std::string(kDown) + ".weight.block_scales");
  const LinearQuantizers& down = linear_of(set, kDown);
  const Tensor& weight = down.weight->value();
  EXPECT_TRUE(
      same_bytes(tensors.begin()->second, scales_of_least_error(block_format("nvfp4"), weight.data(), weight.rows(),
                                                                weight.cols(), down.weights->scale().value())));

  config.rules.back().algorithm = CalibrationKind::max;  // the other way round
  set = attach_quantizers(*model, config, CalibrationKind::mse);
  calibrate(*model, set, {small_batch()});
  EXPECT_EQ(set.state_tensors().size(), 13u);
  EXPECT_FALSE(set.state_tensors().contains(std::string(kDown) + ".weight.block_scales"));
}

TEST(RuleOptions, HeadroomWidensScalesOfInputsAndCachesByItsFactorAndNoWeights) {
  QuantizeConfig config = testing::quantize_blocks("nvfp4", "nvfp4");
  config.kv_cache = "fp8";
  const auto model = initialize_model(untied_config(), 1);
  std::map<double, std::vector<QuantizerSet::NamedValue>> states;
  for (const double headroom : {1.0, 4.0}) {
    config.tensor_scale.headroom = headroom;
    QuantizerSet set = attach_quantizers(*model, config);
    calibrate(*model, set, {small_batch()});
    states[headroom] = set.state();
  }
  ASSERT_EQ(states[1].size(), states[4].size());
  for (std::size_t i = 0; i < states[1].size(); ++i) {
    const auto& [name, value] = states[1][i];
    const bool widened = name.ends_with(".tensor_scale") && !name.ends_with(".weight.tensor_scale");
    EXPECT_EQ(states[4][i].second, widened ? 4 * value : value) << name;
  }
}

// Gradients by parameter, of weights that grew beyond what their scales can hold.
std::map<std::string, Tensor> gradients(LanguageModel& model, const QuantizeConfig& config, float* limit = nullptr) {
  QuantizerSet set = attach_quantizers(model, config);
  calibrate(model, set, {small_batch()});
  for (const LinearQuantizers& linear : set.linears()) {
    if (linear.layer != kDown) continue;
    if (limit != nullptr) *limit = linear.weights->format().saturation_limit(linear.weights->scale().value());
    for (float& value : linear.weight->value().span()) value *= 4.0f;
    linear.weight->changed();
  }
  const Variable hidden = model.hidden_states(small_batch());
  Tensor d_out(hidden.shape());
  for (std::int64_t i = 0; i < d_out.size(); ++i) d_out.data()[i] = std::cos(static_cast<float>(i));
  backward(hidden, d_out);
  std::map<std::string, Tensor> result;
  for (const ParameterPointer& parameter : model.parameters()) {
    const Tensor gradient = parameter->variable.sink()->take();
    if (gradient.defined()) result[parameter->name] = gradient;
  }
  return result;
}

TEST(RuleOptions, AGradientsRuleIsThatOfItsLayersAlone) {
  QuantizeConfig config = with_rule(kDown, "none");
  float limit = 0;
  const auto one = initialize_model(untied_model(), 1), other = initialize_model(untied_model(), 1);
  const auto usual = gradients(*one, config);
  config.rules.back().ste = StraightThrough::clip;
  const auto clipped = gradients(*other, config, &limit);
  ASSERT_EQ(usual.size(), clipped.size());
  const std::string weight_name = std::string(kDown) + ".weight";
  for (const auto& [name, gradient] : usual)
    EXPECT_EQ(same_bytes(gradient, clipped.at(name)), name != weight_name) << name;
  const ParameterList parameters = other->parameters();
  const auto weight = std::ranges::find(parameters, weight_name, [](const auto& p) { return p->name; });
  std::int64_t zeros = 0;
  for (std::int64_t i = 0; i < usual.at(weight_name).size(); ++i) {
    const bool beyond = std::abs((*weight)->value().data()[i]) > limit;
    zeros += beyond ? 1 : 0;
    ASSERT_EQ(clipped.at(weight_name).data()[i], beyond ? 0.0f : usual.at(weight_name).data()[i]) << i;
  }
  EXPECT_GT(zeros, 10);
}

TEST(RuleOptions, TensorScalesAreRoundedAndComeFromWhereTheirRuleSays) {
  const auto model = initialize_model(untied_model(), 1);
  QuantizeConfig config = with_rule(kDown);
  config.rules.back().tensor_scale = RuleTensorScale{TensorScaleRound::none, TensorScaleSource::data};
  QuantizerSet set = attach_quantizers(*model, config);
  calibrate(*model, set, {small_batch()});
  for (const LinearQuantizers& linear : set.linears()) {
    if (!linear.weights) continue;
    const bool own = linear.layer == kDown;
    for (const TensorScale* scale : {&linear.weights->scale(), &linear.inputs->scale()}) {
      EXPECT_EQ(scale->follows_data(), own) << scale->name();
      EXPECT_EQ(scale->value(), tensor_scale_from_amax(scale->format(), scale->amax(),
                                                       own ? TensorScaleRound::none : TensorScaleRound::pow2));
      int exponent = 0;
      EXPECT_EQ(std::frexp(scale->value(), &exponent) == 0.5f, !own) << scale->name();
    }
  }
}

// An export freezes what followed the data; what was frozen in training stays, though the weights have moved.
TEST(RuleOptions, ThoseThatFollowTheDataCanBeFrozenBesideTheOthers) {
  const auto model = initialize_model(untied_model(), 1);
  QuantizeConfig config = with_rule(kDown);
  config.rules.back().tensor_scale = RuleTensorScale{{}, TensorScaleSource::data};
  QuantizerSet set = attach_quantizers(*model, config);
  calibrate(*model, set, {small_batch()});
  const auto before = set.state();
  for (const LinearQuantizers& linear : set.linears()) {
    for (float& value : linear.weight->value().span()) value *= 3.0f;
    linear.weight->changed();
  }
  QuantizerSet followers = set.only([](const Quantizer& one) { return one.scale().follows_data(); });
  ASSERT_EQ(followers.linears().size(), 1u);
  EXPECT_EQ(followers.linears()[0].layer, kDown);
  calibrate(*model, followers, {small_batch()}, TensorScaleSource::calibration);
  const auto after = set.state();
  ASSERT_EQ(before.size(), after.size());
  for (std::size_t i = 0; i < before.size(); ++i)
    if (before[i].first.find(kDown) == std::string::npos) {
      EXPECT_EQ(before[i], after[i]);
    }
  const TensorScale& scale = linear_of(set, kDown).weights->scale();
  EXPECT_FALSE(scale.follows_data());
  EXPECT_EQ(scale.value(), tensor_scale_from_amax(scale.format(), scale.amax(), TensorScaleRound::pow2));
  EXPECT_GT(scale.amax(), std::ranges::find(before, scale.name() + ".amax", &QuantizerSet::NamedValue::first)->second);
}

std::string refusal(const QuantizeConfig& config) {
  const auto model = initialize_model(untied_model(), 1);
  try {
    static_cast<void>(attach_quantizers(*model, config));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return "no error";
}

TEST(RuleOptions, GroupsThatShareAScaleMustAgreeOnIt) {
  QuantizeConfig config = with_rule("*.k_proj");
  config.rules.back().tensor_scale = RuleTensorScale{TensorScaleRound::none, {}};
  EXPECT_EQ(refusal(config),
            "*.k_proj (2 layers): expected the tensor_scale of *.q_proj, round pow2, from calibration "
            "(quantize.rules[0]), since they share a scale, got round none, from calibration (quantize.rules[2]) (let "
            "the rules of the whole group say the same)");
  config.share_groups = false;  // their input still has one scale
  EXPECT_NE(refusal(config).find("since they share a scale"), std::string::npos);
  for (QuantizeRule& rule : config.rules) rule.inputs = "none";
  EXPECT_EQ(refusal(config), "no error");
  config.share_groups = true;
  EXPECT_NE(refusal(config).find("since they share a scale"), std::string::npos);
  config.rules.back().tensor_scale->round = TensorScaleRound::pow2;  // says what counts anyway
  EXPECT_EQ(refusal(config), "no error");

  config = with_rule("model.layers.1.mlp.up_proj");
  config.rules.back().ste = StraightThrough::clip;
  EXPECT_EQ(
      refusal(config),
      "model.layers.1.mlp.up_proj: expected the input_ste of *.gate_proj, identity (quantize.rules[0]), since they "
      "share a quantized input, got clip (quantize.rules[2]) (let the rules of the whole group say the same)");
  config.rules.back().input_ste = StraightThrough::identity;  // of the weights alone
  EXPECT_EQ(refusal(config), "no error");
  config.rules.back().ste.reset();
  config.rules.back().algorithm = CalibrationKind::mse;  // of each weight by itself
  EXPECT_EQ(refusal(config), "no error");
}

TEST(RuleOptions, FormatsWithoutATensorScaleHaveNothingToAgreeOn) {
  QuantizeConfig config = with_rule("*.k_proj");
  for (QuantizeRule& rule : config.rules)
    if (rule.weights != "none") rule.weights = rule.inputs = "mxfp4";
  config.rules[1] = {"*down_proj", "none", "none"};  // 48 columns are no multiple of 32
  config.rules.back().tensor_scale = RuleTensorScale{TensorScaleRound::none, {}};
  EXPECT_EQ(refusal(config), "no error");
}

}  // namespace
}  // namespace qad
