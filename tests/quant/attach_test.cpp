// Quantizers in a model: which slots are filled, what is refused, calibration, state, and bits per weight.
#include "qad/quant/attach.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "autograd/base/log.h"
#include "qad/calib/calibrate.h"
#include "tests/support/paths.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

using testing::small_batch;

// With a head of its own.
ModelConfig untied_config() { return testing::small_config(false); }

QuantizeConfig w4a4() { return testing::quantize_blocks("nvfp4", "nvfp4"); }

void expect_refused(const ModelConfig& model_config, const QuantizeConfig& config, const std::string& word) {
  const auto model = initialize_model(model_config, 1);
  try {
    static_cast<void>(attach_quantizers(*model, config));
    FAIL() << word;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
  }
}

std::vector<float> states_of(LanguageModel& model) {
  const NoGradScope no_grad;
  const Tensor hidden = model.hidden_states(small_batch()).value();
  return {hidden.span().begin(), hidden.span().end()};
}

TEST(Attach, AModelIsFreedWithItsQuantizers) {
  std::weak_ptr<Parameter> weight;
  {
    const auto model = initialize_model(untied_config(), 1);
    const QuantizerSet set = attach_quantizers(*model, w4a4());
    weight = model->linear_groups().front()->members.front().weight;
  }
  EXPECT_TRUE(weight.expired());
}

TEST(Attach, MastersThatBf16DoesNotHoldAreRefusedWhereItReadsThem) {
  const auto model = initialize_model(untied_config(), 1);
  const ParameterPointer norm = model->parameters()[1];
  norm->value().data()[2] = 3.4e38f;
  const QuantizerSet set = attach_quantizers(*model, w4a4());
  try {
    check_unquantized(*model, w4a4());
    FAIL();
  } catch (const NotFinite& error) {
    EXPECT_NE(std::string(error.what()).find(norm->name + ": expected weights that BF16 holds"), std::string::npos);
  }
  QuantizeConfig wide = w4a4();
  wide.unquantized = UnquantizedType::fp32;
  EXPECT_NO_THROW(check_unquantized(*model, wide));
}

TEST(Attach, FillsTheSlotsThatTheRulesName) {
  const auto model = initialize_model(untied_config(), 1);
  QuantizerSet set = attach_quantizers(*model, w4a4());
  for (const LinearGroup* group : model->linear_groups()) {
    const bool is_head = group == &model->head();
    EXPECT_EQ(group->input_slot == nullptr, is_head) << group->name;
    for (const Linear& member : group->members) {
      const bool quantized = std::dynamic_pointer_cast<WeightQuantizer>(member.weight->slot) != nullptr;
      EXPECT_EQ(quantized, !is_head) << member.name;
    }
  }
  ASSERT_EQ(set.linears().size(), 2u * 7 + 1);
  const LinearQuantizers &q = set.linears()[0], &k = set.linears()[1];
  EXPECT_EQ(q.group, k.group);
  EXPECT_EQ(&q.weights->scale(), &k.weights->scale());
  EXPECT_EQ(q.inputs, k.inputs);
  EXPECT_TRUE(set.caches().empty());
  EXPECT_TRUE(set.shares_groups());

  const auto table = quantizer_table(set);
  ASSERT_EQ(table.size(), 8u);
  EXPECT_EQ(table[0].count, 2);
  EXPECT_EQ(table[0].layers, "model.layers.*.self_attn.q_proj");
  EXPECT_EQ(table[0].weights, "nvfp4");
  EXPECT_EQ(table[7].weights, "none");
}

TEST(Attach, CalibratesAndThenQuantizes) {
  const auto model = initialize_model(untied_config(), 1);
  const std::vector<float> before = states_of(*model);
  QuantizeConfig config = w4a4();
  config.unquantized = UnquantizedType::fp32;
  config.kv_cache = "fp8";
  QuantizerSet set = attach_quantizers(*model, config);
  EXPECT_EQ(states_of(*model), before);  // observing changes nothing
  calibrate(*model, set, {small_batch()}, {TensorScaleSource::calibration});
  EXPECT_NE(states_of(*model), before);
  for (const LinearQuantizers& linear : set.linears())
    EXPECT_TRUE(linear.inputs == nullptr || linear.inputs->scale().amax() > 0.0f) << linear.layer;
  ASSERT_EQ(set.caches().size(), 2u);
  const TensorScale& keys = set.caches()[0].keys->scale();
  EXPECT_EQ(keys.value(), tensor_scale_from_amax(block_format("fp8"), keys.amax(), TensorScaleRound::pow2));
  const SaturationCounts counts = set.take_saturation();
  EXPECT_EQ(counts.weights, 0);
  EXPECT_GT(counts.weight_values, 0);
  EXPECT_GT(counts.activation_values, 0);

  QuantizerSet stopped = attach_quantizers(*model, config);
  const StopQuestion question([] { return true; });
  EXPECT_THROW(calibrate(*model, stopped, {small_batch()}, {TensorScaleSource::calibration}), Stopped);
}

TEST(Attach, RoundsWhatNoRuleQuantizes) {
  ModelConfig sizes = untied_config();
  sizes.model_type = "qwen3";
  sizes.qk_norm = sizes.attention_bias = sizes.attention_output_bias = true;
  QuantizeConfig config = w4a4();
  config.rules.push_back({"*.mlp.*", "none", "none"});
  const auto model = initialize_model(sizes, 1);
  for (const auto type : {UnquantizedType::bf16, UnquantizedType::fp32}) {
    config.unquantized = type;
    static_cast<void>(attach_quantizers(*model, config));
    for (const ParameterPointer& parameter : model->parameters()) {
      const bool quantized =
          parameter->name.find("self_attn") != std::string::npos && parameter->name.ends_with("_proj.weight");
      const Tensor expected = type == UnquantizedType::fp32 || quantized
                                  ? parameter->value()  // quantizers observe
                                  : parameter->value().to(DType::bf16).to(DType::f32);
      const Tensor read = parameter->operand().values().expand();
      EXPECT_TRUE(std::ranges::equal(read.span(), expected.span())) << parameter->name;
    }
  }
}

TEST(Attach, StateComesBackBitForBit) {
  for (const auto from : {TensorScaleSource::calibration, TensorScaleSource::data}) {
    const auto model = initialize_model(untied_config(), 1);
    QuantizerSet set = attach_quantizers(*model, w4a4());
    calibrate(*model, set, {small_batch()}, {from});
    const std::vector<float> expected = states_of(*model);
    const auto state = set.state();
    QuantizerSet again = attach_quantizers(*model, w4a4());
    again.restore(state, "step.h5");
    EXPECT_EQ(states_of(*model), expected);
    EXPECT_EQ(again.state(), set.state());

    QuantizeConfig other = w4a4();
    other.kv_cache = "fp8";
    EXPECT_THROW(attach_quantizers(*model, other).restore(state, "step.h5"), Error);
    EXPECT_THROW(QuantizerSet().restore(state, "step.h5"), Error);
  }
}

// Scales that were searched stay while the weights move, and a checkpoint has them.
TEST(Attach, FoundBlockScalesStayAndComeBack) {
  const auto model = initialize_model(untied_config(), 1);
  QuantizerSet set = attach_quantizers(*model, w4a4());
  calibrate(*model, set, {small_batch()}, {TensorScaleSource::calibration});
  const std::vector<float> by_amax = states_of(*model);
  EXPECT_TRUE(set.state_tensors().empty());
  set = attach_quantizers(*model, w4a4(), CalibrationKind::mse);
  calibrate(*model, set, {small_batch()});
  EXPECT_EQ(set.state_tensors().size(), 14u);  // seven linear layers in each of two blocks; the head is kept
  EXPECT_NE(states_of(*model), by_amax);

  Parameter& weight = *set.linears().front().weight;
  WeightQuantizer& quantizer = *set.linears().front().weights;
  const auto before = quantizer.codes(weight.value(), weight.version());
  for (float& value : weight.value().span()) value *= 0.5f;
  weight.changed();
  const auto& after = quantizer.codes(weight.value(), weight.version());
  EXPECT_TRUE(std::ranges::equal(before.scales.span<std::uint8_t>(), after.scales.span<std::uint8_t>()));
  EXPECT_FALSE(std::ranges::equal(before.codes.span<std::uint8_t>(), after.codes.span<std::uint8_t>()));

  const std::vector<float> expected = states_of(*model);
  const auto state = set.state();
  auto tensors = set.state_tensors();
  QuantizerSet again = attach_quantizers(*model, w4a4());
  again.restore(state, "step.h5", tensors);
  EXPECT_EQ(states_of(*model), expected);
  again.restore(state, "step.h5");
  EXPECT_TRUE(again.state_tensors().empty());
  tensors["other.block_scales"] = tensors.begin()->second;
  EXPECT_THROW(again.restore(state, "step.h5", tensors), Error);
}

TEST(Attach, UnsharedGroupsHaveAScaleEach) {
  const auto model = initialize_model(untied_config(), 1);
  QuantizeConfig config = w4a4();
  config.share_groups = false;
  const QuantizerSet set = attach_quantizers(*model, config);
  EXPECT_NE(&set.linears()[0].weights->scale(), &set.linears()[1].weights->scale());
  EXPECT_FALSE(set.shares_groups());
}

TEST(Attach, RefusesWhatCanNotBe) {
  ModelConfig odd = untied_config();
  odd.intermediate_size = 40;
  expect_refused(odd, w4a4(),
                 "*.down_proj (2 layers): expected an inner dimension that is a multiple of 16 for nvfp4, got 40 "
                 "(exclude by a last "
                 "rule {layers: \"*.down_proj\", weights: none, inputs: none})");

  QuantizeConfig partly = w4a4();
  partly.rules.push_back({"*k_proj", "none", "none"});
  expect_refused(
      untied_config(), partly,
      "*.k_proj (2 layers): expected the formats of *.q_proj (weights nvfp4, inputs nvfp4), since engines fuse them, "
      "got weights none, inputs none (let the same rules match the whole group)");

  const ModelConfig tied = testing::small_config(true);
  QuantizeConfig head = w4a4();
  head.rules.pop_back();
  expect_refused(tied, head, "tied");
}

TEST(Attach, BitsPerWeightCountEveryParameter) {
  const auto model = initialize_model(untied_config(), 1);
  EXPECT_EQ(bits_per_weight(*model, QuantizerSet()), 16.0);
  const QuantizerSet set = attach_quantizers(*model, w4a4());
  double bits = 0, values = 0;
  for (const ParameterPointer& parameter : model->parameters()) {
    const bool packed = parameter->name.ends_with("_proj.weight");
    bits += (packed ? 4.5 : 16) * static_cast<double>(parameter->value().size());
    values += static_cast<double>(parameter->value().size());
  }
  EXPECT_DOUBLE_EQ(bits_per_weight(*model, set), bits / values);
}

}  // namespace
}  // namespace qad
