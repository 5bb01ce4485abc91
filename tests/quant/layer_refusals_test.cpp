// How refusals name layers: by patterns that mean these layers and no others.
#include "qad/quant/layer_refusals.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "models/import/model_folder.h"
#include "qad/quant/policy.h"
#include "tests/support/error_of.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

using Names = std::vector<std::string>;

std::string down(int layer) { return "model.layers." + std::to_string(layer) + ".mlp.down_proj"; }

TEST(LayerRefusals, PatternsMeanTheseLayersAndNoOthers) {
  const Names all = {down(0), "model.layers.0.mlp.up_proj", down(1), "model.layers.1.mlp.up_proj", "lm_head"};
  EXPECT_EQ(patterns_of({down(0), down(1)}, all), Names{"*.down_proj"});
  EXPECT_EQ(patterns_of({down(1)}, all), Names{down(1)});
  EXPECT_EQ(patterns_of({"lm_head"}, all), Names{"lm_head"});
  EXPECT_EQ(patterns_of({down(0), down(1), "model.layers.1.mlp.up_proj"}, all),
            (Names{"*.down_proj", "model.layers.1.mlp.up_proj"}));
  const Names two_kinds = {down(0), down(1), "model.layers.0.experts.down_proj"};
  EXPECT_EQ(patterns_of({down(0), down(1)}, two_kinds), Names{"model.layers.*.mlp.down_proj"});
  for (const Names& some : {Names{down(0), down(1)}, Names{down(0)}})
    for (const std::string& name : two_kinds) {
      bool matches = false;
      for (const std::string& pattern : patterns_of(some, two_kinds)) matches = matches || glob_match(pattern, name);
      EXPECT_EQ(matches, std::ranges::find(some, name) != some.end()) << name;
    }
}

Names lines(const std::vector<Refusal>& refusals) {
  Names lines;
  for (const auto& [problem, rule] : refusals) lines.push_back(std::to_string(rule) + " " + Error(problem).what());
  return lines;
}

TEST(LayerRefusals, TellAllThatDoesNotFitWithTheRuleThatAskedForIt) {
  ModelConfig config = testing::small_config(true);
  config.intermediate_size = 40;
  QuantizeConfig quantize = testing::quantize_blocks("nvfp4", "nvfp4");
  quantize.rules.push_back({"*k_proj", "none", "none"});
  quantize.rules.push_back({"lm_head", "nvfp4", "none"});
  quantize.rules.push_back({"model.layers.1.self_attn.o_proj", "int4_g128", "none"});
  const Names told = lines(quantize_refusals(linear_shapes(config), quantize));
  EXPECT_EQ(told,
            (Names{"2 *.k_proj (2 layers): expected the formats of *.q_proj (weights nvfp4, inputs nvfp4), since "
                   "engines fuse them, got weights none, inputs none (let the same rules match the whole group)",
                   "0 *.down_proj (2 layers): expected an inner dimension that is a multiple of 16 for nvfp4, got "
                   "40 (exclude by a last rule {layers: \"*.down_proj\", weights: none, inputs: none})",
                   "4 model.layers.1.self_attn.o_proj: expected an inner dimension that is a multiple of 128 for "
                   "int4_g128, got 32 (exclude by a last rule {layers: \"model.layers.1.self_attn.o_proj\", "
                   "weights: none, inputs: none})",
                   "3 lm_head: expected a head of its own to quantize, got one that is tied to the embedding "
                   "(exclude by a last rule {layers: \"lm_head\", weights: none, inputs: none})"}));
  const std::string thrown =
      testing::error_of([&] { throw_if_any(quantize_refusals(linear_shapes(config), quantize), "rules"); });
  EXPECT_EQ(thrown.find("rules: 4 errors\n  *.k_proj (2 layers): expected"), 0u) << thrown;
}

TEST(LinearShapes, OfAConfigAreThoseOfTheModel) {
  for (const bool tied : {true, false}) {
    const ModelConfig config = testing::small_config(tied);
    const auto model = initialize_model(config, 1);
    const std::vector<LinearShape> told = linear_shapes(config), real = linear_shapes(*model);
    ASSERT_EQ(told.size(), 15u);
    ASSERT_EQ(real.size(), 15u);
    for (std::size_t i = 0; i < told.size(); ++i) {
      EXPECT_EQ(told[i].name, real[i].name);
      EXPECT_EQ(told[i].group, real[i].group);
      EXPECT_EQ(told[i].out_features, real[i].out_features);
      EXPECT_EQ(told[i].in_features, real[i].in_features);
      EXPECT_EQ(told[i].tied, tied && told[i].name == "lm_head");
      EXPECT_EQ(told[i].kind, real[i].kind);
      EXPECT_EQ(told[i].next, real[i].next);
    }
    EXPECT_EQ(told.back().out_features, 64);
  }
  using enum ModuleKind;
  const std::vector<LinearShape> all = linear_shapes(testing::small_config());
  EXPECT_EQ(all[0].name, "model.layers.0.self_attn.q_proj");
  EXPECT_EQ(all[0].kind, attention);
  EXPECT_EQ(all[0].next, (std::vector{attention, feed_forward}));
  EXPECT_EQ(all[13].name, down(1));
  EXPECT_EQ(all[13].kind, feed_forward);
  EXPECT_EQ(all[13].next, std::vector{head});
  EXPECT_EQ(all[14].kind, head);
  EXPECT_TRUE(all[14].next.empty());
  ModelConfig deep = testing::small_config();
  deep.num_hidden_layers = 2'000'000'000;
  testing::expect_mentions(testing::error_of([&] { static_cast<void>(linear_shapes(deep)); }), {"num_hidden_layers"});
}

}  // namespace
}  // namespace qad
