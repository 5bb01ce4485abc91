// Layer names to number formats.
#include "qad/quant/policy.h"

#include <gtest/gtest.h>

#include "autograd/base/error.h"

namespace qad {
namespace {

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
  const Policy policy({{"*", "nvfp4", "nvfp4"}, {"*.down_proj", "fp8", "none"}, {"lm_head", "none", "none"}});
  EXPECT_EQ(policy("model.layers.0.mlp.up_proj").weights, &block_format("nvfp4"));
  EXPECT_EQ(policy("model.layers.0.mlp.down_proj").weights, &block_format("fp8"));
  EXPECT_EQ(policy("model.layers.0.mlp.down_proj").inputs, nullptr);
  EXPECT_EQ(policy("lm_head"), LayerFormats{});
  EXPECT_EQ(Policy({})("anything"), LayerFormats{});
}

TEST(Policy, AnUnknownFormatNamesTheRule) {
  try {
    const Policy policy({{"*", "nvfp4", "none"}, {"*mlp*", "none", "fp7"}});
    FAIL();
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("quantize.rules[1].inputs"), std::string::npos) << text;
    EXPECT_NE(text.find("nvfp4, mxfp4"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace qad
