// Plans of very many layers, experts or answers against those that rehearse all of them.
#include <gtest/gtest.h>

#include "qad/plan/plan_memory.h"
#include "qad/plan/plan_run.h"
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

}  // namespace
}  // namespace qad
