// Plans of what no machine holds: within seconds, and with little memory of their own.
#include <gtest/gtest.h>

#include "qad/plan/plan_memory.h"
#include "qad/plan/plan_run.h"
#include "tests/verbs/tiny_run.h"

namespace qad {
namespace {

using testing::six_layers;

RunPlan planned(const char* recipe, const std::vector<std::string>& overrides) {
  const std::filesystem::path file =
      std::filesystem::path(QAD_SOURCE_DIR) / "recipes" / (std::string(recipe) + ".yaml");
  const Recipe read = load_recipe(file, overrides);
  const std::int64_t before = resident_bytes_now();
  RunPlan plan = plan_run(plan_subject(read, plan_text(read)));
  EXPECT_LT(resident_bytes_now() - before, std::int64_t{1} << 30);
  return plan;
}

constexpr std::int64_t kGiga = std::int64_t{1} << 30;

TEST(LargePlan, OfLayersBeyondAnyMachine) {
  const RunPlan plan = planned("paper/teacher/pretrain",
                               {"model.hidden_size=65536", "model.intermediate_size=262144", "model.head_dim=128",
                                "model.num_attention_heads=512", "model.num_key_value_heads=8"});
  // 6 layers of 3·65536·262144 and 2·(65536 + 1024)·65536 weights in FP32.
  EXPECT_NEAR(static_cast<double>(plan.memory.student), 6 * 4 * (5.1540e10 + 8.7241e9), 1e10);
}

TEST(LargePlan, OfVeryManyLayers) {
  const RunPlan some = planned("paper/teacher/pretrain", {"model.num_hidden_layers=100"});
  const RunPlan many = planned("paper/teacher/pretrain", {"model.num_hidden_layers=10000"});
  EXPECT_NEAR(static_cast<double>(many.memory.activations) / static_cast<double>(some.memory.activations), 100, 2);
  EXPECT_NEAR(static_cast<double>(many.memory.student) / static_cast<double>(some.memory.student), 100, 2);
}

TEST(LargePlan, OfVeryManyExperts) {
  const RunPlan plan = planned("nano/teacher/pretrain", {"model.experts.num_experts=4096"});
  EXPECT_GT(plan.memory.student, 6 * 4096 * 2 * 64 * 128 * std::int64_t{4});
  EXPECT_LT(plan.memory.total(), 100 * kGiga);
}

TEST(LargePlan, OfVeryManyAnswers) {
  testing::TinyRun run(six_layers());
  write_file_atomically(
      run.path("grpo.yaml"),
      "kind: grpo\nstudent: {model: \"" + run.teacher().string() +
          "\"}\ngrpo: {families: [symbols], prompts: 1000000, group_size: 64}\ndata: {eval: {text: \"" +
          run.path("held_out.txt").string() +
          "\", separator: \"---\"}, sequence_length: 64}\ntrain: {steps: 2}\nexport: []\n");
  const Recipe recipe = load_recipe(run.path("grpo.yaml"), {});
  const PlannedText text = plan_text(recipe);
  EXPECT_EQ(text.train_documents, 64'000'000);
  EXPECT_LT(text.prompts.size(), 1u << 20);
  const RunPlan plan = plan_run(plan_subject(recipe, text));
  EXPECT_GT(plan.memory.total(), kGiga);
  EXPECT_GT(tokens_per_step(plan.subject), 64e6 * 40);
}

}  // namespace
}  // namespace qad
