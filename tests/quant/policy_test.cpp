// Layer names to number formats.
#include "qad/quant/policy.h"

#include <gtest/gtest.h>

#include "autograd/base/error.h"
#include "tests/support/error_of.h"

namespace qad {
namespace {

QuantizeConfig with_rules(std::vector<QuantizeRule> rules) {
  QuantizeConfig config;
  config.rules = std::move(rules);
  return config;
}

TEST(Glob, MatchesTheWholeName) {
  EXPECT_TRUE(glob_match("*", ""));
  EXPECT_TRUE(glob_match("*", "lm_head"));
  EXPECT_TRUE(glob_match("*lm_head*", "lm_head"));
  EXPECT_TRUE(glob_match("model.layers.?.mlp.*_proj", "model.layers.3.mlp.up_proj"));
  EXPECT_FALSE(glob_match("model.layers.?.mlp.*_proj", "model.layers.13.mlp.up_proj"));
  EXPECT_FALSE(glob_match("mlp", "model.mlp"));
  EXPECT_TRUE(glob_match("*a*b*c", "xxaxxbxbxc"));
  EXPECT_FALSE(glob_match("*a*b*c", "xxaxxcxb"));
  EXPECT_TRUE(glob_match("a**", "a"));
  EXPECT_FALSE(glob_match("", "a"));
  EXPECT_FALSE(glob_match("a?", "a"));
}

TEST(Policy, TheLastRuleThatMatchesDecides) {
  const Policy policy(
      with_rules({{"*", "nvfp4", "nvfp4"}, {"*.down_proj", "fp8", "none"}, {"lm_head", "none", "none"}}));
  EXPECT_EQ(policy({.name = "model.layers.0.mlp.up_proj"}).weights, &block_format("nvfp4"));
  EXPECT_EQ(policy({.name = "model.layers.0.mlp.down_proj"}).weights, &block_format("fp8"));
  EXPECT_EQ(policy({.name = "model.layers.0.mlp.down_proj"}).inputs, nullptr);
  EXPECT_EQ(policy({.name = "lm_head"}), LayerFormats{});
  EXPECT_EQ(Policy(with_rules({}))({.name = "anything"}), LayerFormats{});
}

TEST(Policy, ARuleMayAskForKindAndPlaceBesideTheName) {
  std::vector<QuantizeRule> rules = {{"*", "nvfp4", "nvfp4"}, {"*.in_proj"}, {"*"}};
  rules[1].kind = ModuleKind::mamba;
  rules[1].before = ModuleKind::attention;
  rules[2].kind = ModuleKind::attention;
  const Policy policy(with_rules(rules));
  const auto rule_of = [&](const char* name, ModuleKind kind, std::vector<ModuleKind> next) {
    return policy.rule_of({.name = name, .kind = kind, .next = std::move(next)});
  };
  using enum ModuleKind;
  EXPECT_EQ(rule_of("a.in_proj", mamba, {attention}), 1);
  EXPECT_EQ(rule_of("a.in_proj", mamba, {linear_attention, attention}), 1);
  EXPECT_EQ(rule_of("a.in_proj", mamba, {experts}), 0);
  EXPECT_EQ(rule_of("a.in_proj", mamba, {}), 0);
  EXPECT_EQ(rule_of("a.in_proj", linear_attention, {attention}), 0);
  EXPECT_EQ(rule_of("a.out_proj", mamba, {attention}), 0);
  EXPECT_EQ(rule_of("a.in_proj", attention, {}), 2);
  EXPECT_EQ(place_text(rules[0]), "");
  EXPECT_EQ(place_text(rules[1]), ", mamba before attention");
}

TEST(Policy, OptionsAreTheRulesOwnOrElseTheRecipes) {
  QuantizeConfig config = with_rules({{"*", "nvfp4", "nvfp4"}, {"*q_proj", "fp8", "none"}});
  config.tensor_scale.round = TensorScaleRound::none;
  config.kv_cache = "mxfp4";
  config.rules[1].tensor_scale = RuleTensorScale{{}, TensorScaleSource::data};
  config.rules[1].ste = StraightThrough::clip;
  config.rules[0].algorithm = CalibrationKind::max;
  config.rules[0].input_ste = StraightThrough::clip;
  config.input_ste = StraightThrough::through_scale;
  const Policy policy(config, CalibrationKind::mse);
  const LayerOptions usual = policy.options({.name = "o_proj"}), own = policy.options({.name = "q_proj"}),
                     cache = policy.cache();
  EXPECT_EQ(usual.tensor_scale, (TensorScaleConfig{TensorScaleRound::none, TensorScaleSource::calibration}));
  EXPECT_EQ(usual.ste, StraightThrough::identity);
  EXPECT_EQ(usual.input_ste, StraightThrough::clip);
  EXPECT_EQ(usual.algorithm, CalibrationKind::max);
  EXPECT_EQ(own.formats.weights, &block_format("fp8"));
  EXPECT_EQ(own.tensor_scale, (TensorScaleConfig{TensorScaleRound::none, TensorScaleSource::data}));
  EXPECT_EQ(own.ste, StraightThrough::clip);
  EXPECT_EQ(own.input_ste, StraightThrough::through_scale);
  EXPECT_EQ(own.algorithm, CalibrationKind::mse);
  EXPECT_EQ(cache.formats, (LayerFormats{nullptr, &block_format("mxfp4")}));
  EXPECT_EQ(cache.tensor_scale, usual.tensor_scale);
  EXPECT_EQ(cache.input_ste, StraightThrough::through_scale);
  config.kv_cache = "fp8";  // has no block scales
  EXPECT_EQ(Policy(config).cache().input_ste, StraightThrough::identity);
  config.input_ste.reset();
  config.rules[0].input_ste.reset();
  EXPECT_EQ(Policy(config).options({.name = "q_proj"}).input_ste, StraightThrough::clip);  // as its ste
}

TEST(Policy, AnUnknownFormatOfTheCacheIsToldWithThoseKnown) {
  QuantizeConfig config;
  config.kv_cache = "fp7";
  testing::expect_mentions(testing::error_of([&] { static_cast<void>(Policy(config)); }),
                           {"quantize.kv_cache: ", "nvfp4, mxfp4, fp8", "fp7", "or none"});
}

TEST(Policy, AnUnknownFormatNamesTheRule) {
  try {
    const Policy policy(with_rules({{"*", "nvfp4", "none"}, {"*mlp*", "none", "fp7"}}));
    FAIL();
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("quantize.rules[1].inputs"), std::string::npos) << text;
    EXPECT_NE(text.find("nvfp4, mxfp4"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace qad
