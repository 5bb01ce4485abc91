// Factors that go from inputs into weights: by their formulas, and on models, whose unquantized outputs stay.
#include "qad/calib/smoothing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "autograd/base/atomic_file.h"
#include "autograd/base/log.h"
#include "qad/calib/calibrate.h"
#include "tests/support/error_of.h"
#include "tests/support/near.h"
#include "tests/support/paths.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

TEST(Smoothing, FactorsFollowTheirFormulas) {
  const ColumnMagnitudes columns{{4, 1, 0.25, 0}, {0.5, 0.5, 0.125, 1}};
  const std::vector<float> smooth = smoothquant_factors(columns, 0.5);
  EXPECT_FLOAT_EQ(smooth[0], std::sqrt(8.0f));
  EXPECT_FLOAT_EQ(smooth[2], std::sqrt(2.0f));
  EXPECT_EQ(smooth[3], 1.0f);  // no input, no factor
  const std::vector<float> awq = awq_factors({{4, 1, 0.25}, {1, 1, 1}}, 0.5);
  EXPECT_FLOAT_EQ(awq[0] * awq[2], 1.0f);  // √(most·least) = 1
  EXPECT_FLOAT_EQ(awq[0] / awq[1], 2.0f);
}

TEST(Smoothing, AwqTakesTheStrengthWhoseOutputsAreClosest) {
  auto values = testing::normal_floats(80 * 64, 1, 1);
  for (std::size_t i = 5; i < values.size(); i += 64) values[i] *= 30.0f;  // a column that stands out
  const Tensor x = Tensor::from(values, {80, 64}), w = Tensor::from(testing::normal_floats(32 * 64, 0.05, 2), {32, 64});
  const BlockFormat* const nvfp4 = &block_format("nvfp4");
  for (const BlockFormat* inputs : {static_cast<const BlockFormat*>(nullptr), nvfp4}) {
    const AwqChoice choice = choose_awq(x, std::span(&w, 1), *nvfp4, inputs, 20);
    ASSERT_EQ(choice.errors.size(), 20u);
    EXPECT_EQ(std::ranges::min_element(choice.errors) - choice.errors.begin(), choice.index);
    EXPECT_GT(choice.index, 0);
    EXPECT_GT(choice.factors[5], 2 * choice.factors[6]);
    EXPECT_LT(choice.errors[static_cast<std::size_t>(choice.index)], 0.9 * choice.errors[0]);
  }
}

std::vector<float> states_of(LanguageModel& model) {
  const NoGradScope no_grad;
  const Tensor states = model.hidden_states(testing::small_batch()).value();
  return {states.span().begin(), states.span().end()};
}

std::string smoothed_log(LanguageModel& model, CalibrationKind kind) {
  const testing::TemporaryFolder folder;
  log_to_file(folder / "log.txt");
  QuantizerSet set = attach_quantizers(model, testing::quantize_blocks("nvfp4", "nvfp4"), kind);
  calibrate(model, set, {testing::small_batch(), testing::small_batch()});
  log_to_file({});
  for (const LinearQuantizers& linear : set.linears())
    EXPECT_EQ(linear.weights != nullptr, linear.weights != nullptr && linear.weights->block_scales().defined());
  for (LinearGroup* group : model.linear_groups()) group->input_slot = nullptr;
  for (const ParameterPointer& parameter : model.parameters()) parameter->slot = nullptr;
  return read_file(folder / "log.txt", "the log");
}

TEST(Smoothing, OfAModelChangesNoUnquantizedOutput) {
  for (const bool with_experts : {false, true})
    for (const CalibrationKind kind : {CalibrationKind::awq, CalibrationKind::smoothquant}) {
      ModelConfig config = testing::small_config(false);
      config.initializer_range = 0.2;
      if (with_experts) {
        config.model_type = "qwen3_moe";
        config.qk_norm = true;
        config.experts = ExpertsConfig{.num_experts = 4, .num_experts_per_tok = 2, .moe_intermediate_size = 32};
      }
      const auto model = initialize_model(config, 1), before = initialize_model(config, 1);
      const std::string log = smoothed_log(*model, kind);
      testing::expect_mentions(log, {"model.layers.0.self_attn.o_proj (heads share what feeds it)"});
      EXPECT_EQ(log.find("self_attn.qkv_proj (a router may read the same)") != std::string::npos, with_experts) << log;
      EXPECT_EQ(log.find("experts.down_proj (nothing that feeds it") != std::string::npos, with_experts) << log;
      testing::expect_near("states", states_of(*model), testing::doubles(states_of(*before)), 1e-4);
      int moved = 0;
      for (std::size_t i = 0; i < model->parameters().size(); ++i) {
        const Tensor a = model->parameters()[i]->value(), b = before->parameters()[i]->value();
        if (std::ranges::equal(a.span(), b.span())) continue;
        ++moved;
        for (const float value : a.span())
          EXPECT_TRUE(a.shape().rank() != 1 || bf16_to_f32(f32_to_bf16(value)) == value) << value;
      }
      // q, k, v, gate, up, down and both norms of both layers; awq may find that nothing is better
      EXPECT_TRUE(with_experts ? moved == 0 : moved > 0 && moved <= 2 * 8) << moved;
      EXPECT_EQ(moved == 2 * 8, !with_experts && (kind == CalibrationKind::smoothquant || moved == 2 * 8));
    }
}

}  // namespace
}  // namespace qad
