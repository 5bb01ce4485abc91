// Plans of very many layers, experts or answers against those that rehearse all of them.
#include <gtest/gtest.h>

#include "models/families/linear_shapes.h"
#include "qad/plan/layer_probe.h"
#include "qad/plan/plan_memory.h"
#include "qad/plan/plan_run.h"
#include "tests/support/hybrid_models.h"
#include "tests/verbs/tiny_run.h"

namespace qad {
namespace {

using testing::six_layers;

// A plan of very many layers or experts is the line through two smaller ones, of answers a smaller one's and lists.
class PlanOfMany : public ::testing::Test {
 protected:
  static void expect_like(const PlanSubject& subject, const PlanLimits& limits, double within = 0.03) {
    constexpr std::int64_t kAny = std::int64_t{1} << 40;
    const MemoryPlan all = plan_memory(subject, 0, 1, {kAny, kAny, kAny}), line = plan_memory(subject, 0, 1, limits);
    EXPECT_NEAR(static_cast<double>(line.total()) / static_cast<double>(all.total()), 1.0, within)
        << line.total() << " by the line, " << all.total() << " by all of it";
    EXPECT_NEAR(static_cast<double>(line.student) / static_cast<double>(all.student), 1.0, 0.01);
  }
  static PlanSubject subject_of(const std::filesystem::path& recipe) {
    const Recipe read = load_recipe(recipe, {"loss.chunk_mebibytes=1", "train.batch_size=24"});
    return plan_subject(read, plan_text(read));
  }
};

TEST_F(PlanOfMany, Layers) {
  ModelConfig config = six_layers();
  config.num_hidden_layers = 12;
  const testing::TinyRun run(config);
  expect_like(subject_of(run.recipe()), {.layers = 6});
}

TEST_F(PlanOfMany, Experts) {
  ModelConfig config = six_layers();
  config.model_type = "qwen3_moe";
  config.qk_norm = true;
  config.head_dim = 16;
  config.experts = ExpertsConfig{.num_experts = 32, .num_experts_per_tok = 2, .moe_intermediate_size = 64};
  const testing::TinyRun run(config);
  const PlanSubject subject = subject_of(run.recipe());
  expect_like(subject, {.experts = 16});
  expect_like(subject, {.layers = 4, .experts = 16});
}

// As many more as leave as many for the last batch: another size of batch takes room of its own.
TEST_F(PlanOfMany, Answers) {
  const testing::TinyRun run(six_layers());
  write_file_atomically(run.path("grpo.yaml"),
                        "kind: grpo\nstudent: {model: \"" + run.teacher().string() +
                            "\"}\ngrpo: {families: [symbols], prompts: 604, group_size: 4, max_new_tokens: 40}\n"
                            "data: {eval: {text: \"" +
                            run.path("held_out.txt").string() +
                            "\", separator: \"---\"}, sequence_length: 64}\ntrain: {steps: 2}\nexport: []\n");
  expect_like(subject_of(run.path("grpo.yaml")), {.answers = 1024}, 0.15);
}

// Each of these numbers is one that a config.json may say; a plan ran without end for some.
TEST(PlanProbe, IsSmallWhateverTheModel) {
  const auto expect_small = [](const char* name, const ModelConfig& config) {
    ASSERT_NO_THROW(config.check(name));
    double most = 0;
    for (const LayerKind& kind : layer_kinds(config)) {
      double numbers = static_cast<double>(kind.probe.state_numbers(0));
      for (const LinearShape& shape : linear_shapes(kind.probe))
        if (shape.name != "lm_head")
          numbers += static_cast<double>(shape.out_features) * static_cast<double>(shape.in_features);
      EXPECT_LT(numbers, 1 << 27) << name;
      most = std::max(most, kind.times);
    }
    EXPECT_GT(most, 100) << name << ": stands for so much more";
  };
  const auto changed = [](const char* family, const auto& change) {
    ModelConfig config = testing::small_hybrid(family);
    change(config);
    return config;
  };
  constexpr std::int64_t kMany = 1 << 20;
  expect_small("states", changed("mamba2", [](ModelConfig& c) {
                 *c.mamba = {.num_heads = 4096, .head_dim = 64, .state_size = 1024, .n_groups = 4096};
               }));
  expect_small("wide heads", changed("mamba2", [](ModelConfig& c) {
                 *c.mamba = {.num_heads = 64, .head_dim = 1, .state_size = 4 * kMany, .n_groups = 64};
               }));
  expect_small("many small heads", changed("mamba2", [](ModelConfig& c) {
                 *c.mamba = {.num_heads = 64 * kMany, .head_dim = 1, .state_size = 1, .n_groups = kMany};
               }));
  const auto linear = [&](LinearAttentionConfig sizes) {
    return changed("qwen3_next", [&](ModelConfig& c) { c.linear_attention = sizes, c.layer_pattern = "LLL"; });
  };
  expect_small("values of one key head",
               linear({.num_key_heads = 1, .num_value_heads = 4096, .key_head_dim = 1024, .value_head_dim = 64}));
  expect_small("wide keys",
               linear({.num_key_heads = 64, .num_value_heads = 64, .key_head_dim = 4 * kMany, .value_head_dim = 1}));
  expect_small("many queries", changed("llama", [](ModelConfig& c) {
                 c.num_attention_heads = kMany, c.num_key_value_heads = 1, c.head_dim = 128;
               }));
  expect_small("a wide head", changed("llama", [](ModelConfig& c) {
                 c.num_attention_heads = c.num_key_value_heads = 1, c.head_dim = 1 << 16;
               }));
  expect_small("a feed-forward layer", changed("llama", [](ModelConfig& c) { c.intermediate_size = 2000 * kMany; }));
  expect_small("shared experts", changed("kimi_linear", [](ModelConfig& c) { c.experts->n_shared_experts = kMany; }));
  expect_small("experts", changed("llama", [](ModelConfig& c) {
                 c.model_type = "qwen3_moe";
                 c.num_hidden_layers = 1;
                 c.experts =
                     ExpertsConfig{.num_experts = 100'000, .num_experts_per_tok = 50'000, .moe_intermediate_size = 512};
               }));
}

}  // namespace
}  // namespace qad
