// Experts that saw no token in calibration are counted by name; a layer of which none saw any is an error.
#include "qad/calib/unseen_experts.h"

#include <gtest/gtest.h>

#include "qad/calib/calibrate.h"
#include "tests/support/error_of.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

ModelConfig with_many_experts() {
  ModelConfig config = testing::small_config();
  config.model_type = "qwen3_moe";
  config.qk_norm = true;
  config.initializer_range = 0.2;
  config.experts = ExpertsConfig{.num_experts = 32, .num_experts_per_tok = 1, .moe_intermediate_size = 32};
  return config;
}

// One at least of 32 experts has none of the twelve tokens.
TEST(UnseenExperts, AreCountedAndNamed) {
  const auto model = initialize_model(with_many_experts(), 1);
  QuantizerSet quantizers = attach_quantizers(*model, testing::quantize_blocks("nvfp4", "nvfp4"));
  testing::expect_mentions(testing::error_of([&] { static_cast<void>(unseen_experts(*model)); }),
                           {"model.layers.0.mlp.experts: expected calibration to send a token to an expert"});
  calibrate(*model, quantizers, {testing::small_batch()});
  const UnseenExperts unseen = unseen_experts(*model);
  EXPECT_EQ(unseen.of, 64);
  EXPECT_GE(unseen.names.size(), 40u);
  EXPECT_LT(unseen.names.size(), 64u);
  EXPECT_TRUE(unseen.names.front().starts_with("model.layers.0.mlp.experts."));

  quantizers.observe();  // forgets them
  EXPECT_NE(testing::error_of([&] { static_cast<void>(unseen_experts(*model)); }), "no error");
}

TEST(UnseenExperts, MatterOnlyWhereInputsAreQuantized) {
  const auto model = initialize_model(with_many_experts(), 1);
  QuantizerSet quantizers = attach_quantizers(*model, testing::quantize_blocks("nvfp4", "none"));
  calibrate(*model, quantizers, {testing::small_batch()});
  EXPECT_EQ(unseen_experts(*model).of, 0);
}

}  // namespace
}  // namespace qad
