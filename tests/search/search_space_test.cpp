// Which layers a search decides together, and the bits that it counts.
#include "qad/search/search_space.h"

#include <gtest/gtest.h>

#include "tests/layouts/expert_student.h"

namespace qad {
namespace {

SearchConfig search_of(double bits) {
  SearchConfig search;
  search.effective_bits = bits;
  return search;
}

std::vector<LinearShape> shapes() { return linear_shapes(testing::small_config(false)); }

TEST(SearchSpace, GroupsAreThoseThatEnginesFuse) {
  const SearchSpace space = search_space(shapes(), {}, search_of(5));
  std::vector<std::string> names;
  for (const SearchGroup& group : space.groups) names.push_back(group.name);
  EXPECT_EQ(names, (std::vector<std::string>{"model.layers.0.self_attn.qkv_proj", "model.layers.0.self_attn.o_proj",
                                             "model.layers.0.mlp.gate_up_proj", "model.layers.0.mlp.down_proj",
                                             "model.layers.1.self_attn.qkv_proj", "model.layers.1.self_attn.o_proj",
                                             "model.layers.1.mlp.gate_up_proj", "model.layers.1.mlp.down_proj"}));
  EXPECT_EQ(space.groups[0].layers.size(), 3u);
  EXPECT_EQ(space.groups[2].layers,
            (std::vector<std::string>{"model.layers.0.mlp.gate_proj", "model.layers.0.mlp.up_proj"}));
}

TEST(SearchSpace, CodesBlockScalesAndTensorScalesCount) {
  const SearchSpace space = search_space(shapes(), {}, search_of(5));
  const SearchGroup& gate_up = space.groups[2];  // two layers of [48, 32]
  EXPECT_EQ(gate_up.weights, 2 * 48 * 32);
  ASSERT_EQ(gate_up.options.size(), 3u);
  EXPECT_EQ(gate_up.options[0].bits, 2 * (48 * 32 * 4 + 48 * 2 * 8 + 64));  // NVFP4: its tensor scale, the input's
  EXPECT_EQ(gate_up.options[1].bits, 2 * (48 * 32 * 8 + 64));
  EXPECT_EQ(gate_up.options[2].bits, 2 * 48 * 32 * 16);
  EXPECT_EQ(space.weights, 2 * (32 * 64 + 32 * 32 + 3 * 48 * 32));  // the head is none of them
  EXPECT_EQ(space.budget(4.5), space.weights * 9 / 2);
}

TEST(SearchSpace, WhatRulesMatchStaysAndCounts) {
  QuantizeConfig kept;
  kept.rules = {{"*.down_proj", "fp8", "fp8"}, {"*.layers.1.*", "none", "none"}};
  const SearchSpace space = search_space(shapes(), kept, search_of(5));
  EXPECT_EQ(space.groups.size(), 3u);
  const std::int64_t down = 32 * 48, layer = 32 * 64 + 32 * 32 + 3 * 48 * 32;
  EXPECT_EQ(space.kept_bits, down * 8 + 64 + layer * 16);
  const QuantizeConfig found = with_choice(kept, search_of(5), space, all_in(space, 0));
  const Policy policy(found);
  for (const LinearShape& one : shapes()) {
    const std::string expected = one.name.find("layers.1.") != std::string::npos || one.name == "lm_head" ? "none"
                                 : one.name.ends_with("down_proj")                                        ? "fp8"
                                                                                                          : "nvfp4";
    EXPECT_EQ(name_of(policy(one).weights), expected) << one.name;
  }
}

TEST(SearchSpace, FormatsThatDoNotFitAreNotOffered) {
  ModelConfig config = testing::small_config();
  config.intermediate_size = 40;  // no multiple of NVFP4's block
  const SearchSpace space = search_space(linear_shapes(config), {}, search_of(5));
  EXPECT_EQ(space.groups[0].options.size(), 3u);
  EXPECT_EQ(space.groups[3].options.size(), 2u);
  SearchConfig nvfp4_alone = search_of(5);
  nvfp4_alone.candidates = {{"nvfp4", "nvfp4", {}}};
  const SearchSpace narrow = search_space(linear_shapes(config), {}, nvfp4_alone);
  ASSERT_EQ(narrow.groups[3].options.size(), 1u);
  EXPECT_EQ(narrow.groups[3].options[0].candidate, kDense);
}

TEST(SearchSpace, ExpertsOfABlockAreOneGroup) {
  const ModelConfig config = testing::qwen3_moe_config();
  const std::vector<LinearShape> layers = linear_shapes(config);
  SearchConfig search = search_of(5);
  const SearchSpace total = search_space(layers, {}, search);
  search.cost = SearchCost::active;
  const SearchSpace active = search_space(layers, {}, search);
  int found = 0;
  for (std::size_t i = 0; i < total.groups.size(); ++i) {
    const SearchGroup& group = total.groups[i];
    const bool is_experts = group.name.ends_with(".mlp.experts.*");
    found += is_experts ? 1 : 0;
    EXPECT_EQ(active.groups[i].weights < group.weights, is_experts) << group.name;
    if (!is_experts) continue;
    EXPECT_EQ(group.layers, std::vector<std::string>{group.name});
    EXPECT_EQ(group.inputs.size(), 2u) << "the experts' gate and up, and their down";
    const double share =
        static_cast<double>(config.experts->num_experts_per_tok) / static_cast<double>(config.experts->num_experts);
    EXPECT_NEAR(static_cast<double>(active.groups[i].weights), share * static_cast<double>(group.weights), 100);
  }
  EXPECT_GT(found, 0);
}

}  // namespace
}  // namespace qad
