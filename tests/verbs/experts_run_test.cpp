// A model with experts as teacher and student, and block scales that are searched: whole runs, as a user starts them.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "qad/checkpoint/checkpoint.h"
#include "qad/report/summary.h"
#include "tests/bad_input/refusal.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Outcome;
using testing::Workplace;

ModelConfig with_experts() {
  ModelConfig config = testing::tiny_config();
  config.model_type = "qwen3_moe";
  config.qk_norm = true;
  config.head_dim = 8;
  config.initializer_range = 0.2;
  config.experts = ExpertsConfig{.num_experts = 6, .num_experts_per_tok = 2, .moe_intermediate_size = 32};
  config.experts->mlp_only_layers = {1};
  return config;
}

class ExpertsRun : public ::testing::Test {
 protected:
  [[nodiscard]] RunSummary summary(const std::string& name) const {
    return read_summary(work_.path(name) / "summary.json");
  }
  Workplace work_{with_experts()};
};

TEST_F(ExpertsRun, DistilsAndExportsItsDenseTwin) {
  const auto recipe = work_.recipe("export: [dense]\n");
  work_.run(recipe, "run", {"train.lr=1e-3"});
  const RunSummary run = summary("run");
  EXPECT_TRUE(std::isfinite(run.eval.kl_mean));
  EXPECT_GT(run.before.kl_mean, 1e-4);
  ASSERT_EQ(run.exports.size(), 1u);
  EXPECT_NEAR(run.exports[0].eval.cross_entropy, run.eval.cross_entropy, 0.05);
  const Outcome answer = Workplace::start({"generate", work_.at("run/export/dense"), "--max-tokens", "8"});
  EXPECT_EQ(answer.exit_code, 0) << answer.err;
  // Experts have weight scales of their own and one input scale together.
  const CheckpointContent best = load_checkpoint(work_.path("run/checkpoints/best.h5"));
  const std::string experts = "scale/model.layers.0.mlp.experts.";
  for (const char* name : {"0.gate_up_proj.weight.amax", "5.gate_up_proj.weight.amax", "3.down_proj.weight.amax",
                           "gate_up_proj.input.amax", "down_proj.input.amax"})
    EXPECT_TRUE(best.numbers.contains(experts + name)) << name;
}

TEST_F(ExpertsRun, IsTheSameAtAnyThreadCount) {
  const auto recipe = work_.recipe();
  for (const char* threads : {"1", "2"}) {
    const Outcome outcome = testing::run_program(
        {"run", recipe.string(), "--quiet", "--threads", threads, "--out", work_.at(std::string("run") + threads)});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }
  const auto one = load_checkpoint(work_.path("run1/checkpoints/best.h5"));
  const auto two = load_checkpoint(work_.path("run2/checkpoints/best.h5"));
  for (const auto& [name, tensor] : one.tensors)
    EXPECT_TRUE(std::ranges::equal(tensor.span(), two.tensors.at(name).span())) << name;
}

// Where tokens went is told in the run's files, at its end, and by `qad eval`.
TEST_F(ExpertsRun, TellsWhereTokensWent) {
  using Json = nlohmann::json;
  const auto recipe = work_.recipe();
  const Outcome run = Workplace::start(Workplace::run_arguments(recipe, work_.at("run"), {"train.lr=1e-3"}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.out.find("router agreement"), std::string::npos) << run.out;
  EXPECT_NE(read_file(work_.path("run/report.html"), "a report").find("router agreement"), std::string::npos);
  const RunSummary told = summary("run");
  EXPECT_GT(told.eval.router_agreement, 0.5);
  EXPECT_GE(told.eval.router_agreement, told.eval.router_agreement_worst);
  EXPECT_GT(told.before.busiest_expert, 1.0 / 6);
  EXPECT_LT(told.before.idlest_expert, 1.0 / 6);

  const std::string metrics = read_file(work_.path("run/metrics.jsonl"), "metrics");
  const Json first = Json::parse(metrics.substr(0, metrics.find('\n')));
  EXPECT_EQ(first.at("eval").at("router_agreement"), told.before.router_agreement);
  ASSERT_EQ(first.at("routing").size(), 2u);  // the second layer is dense
  for (const Json& layer : first.at("routing")) {
    const std::vector<std::int64_t> tokens = layer.at("tokens");
    ASSERT_EQ(tokens.size(), 6u);
    EXPECT_EQ(std::accumulate(tokens.begin(), tokens.end(), std::int64_t{0}), 2 * told.before.tokens);
    EXPECT_GE(layer.at("agreement"), told.before.router_agreement_worst);
  }
  EXPECT_EQ(first.at("routing")[1].at("layer"), "model.layers.2.mlp");

  const Outcome table = Workplace::start({"eval", work_.at("run")});
  EXPECT_NE(table.out.find("model.layers.2.mlp"), std::string::npos) << table.out;
  const Json json = Json::parse(Workplace::start({"eval", work_.at("run"), "--json"}).out);
  EXPECT_EQ(json.at("router_agreement"), told.eval.router_agreement);
  ASSERT_EQ(json.at("routing").size(), 2u);
  EXPECT_EQ(json.at("routing")[0].at("layer"), "model.layers.0.mlp");
}

TEST_F(ExpertsRun, CanKeepItsRouters) {
  work_.run(work_.recipe(), "run", {"train.router=false", "train.adamw.weight_decay=0.1", "train.lr=1e-3"});
  const auto teacher = load_model(work_.teacher(), WeightType::f32);
  const CheckpointContent newest = load_checkpoint(work_.path("run/checkpoints/step-00000003.h5"));
  for (const ParameterPointer& parameter : teacher->parameters())
    EXPECT_EQ(std::ranges::equal(parameter->value().span(), newest.tensors.at("model/" + parameter->name).span()),
              parameter->role == Role::router)
        << parameter->name;
  EXPECT_FALSE(newest.tensors.contains("adamw/first/model.layers.0.mlp.gate.weight"));
}

TEST_F(ExpertsRun, CanBePlanned) {
  const Outcome plan = Workplace::start({"plan", work_.recipe().string()});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_NE(plan.out.find("activations kept for backward"), std::string::npos);
}

// What is exported is what was trained, to the last bit, however it is read back.
TEST_F(ExpertsRun, PackedExportsAreTheStudent) {
  const auto recipe = work_.recipe("export: [modelopt, compressed_tensors]\n");
  work_.run(recipe, "run", {"train.lr=1e-3"});
  const RunSummary run = summary("run");
  ASSERT_EQ(run.exports.size(), 2u);
  for (const ExportSummary& exported : run.exports) {
    EXPECT_EQ(exported.eval.kl_mean, run.eval.kl_mean) << exported.format;
    const std::string folder = work_.at("run/export/" + exported.format);
    const Outcome inspected = Workplace::start({"inspect", folder});
    EXPECT_EQ(inspected.exit_code, 0) << inspected.err;
    EXPECT_NE(inspected.out.find("model.layers.*.mlp.experts.*.gate_proj"), std::string::npos) << inspected.out;
    const Outcome measured = Workplace::start({"eval", folder, "--data", work_.at("held_out.txt")});
    EXPECT_EQ(measured.exit_code, 0) << measured.err;
  }
}

// With as many experts as tokens some see none.
TEST(ExpertsWithoutTokens, AreToldInTheLog) {
  ModelConfig config = with_experts();
  config.experts->num_experts = 64;
  config.experts->num_experts_per_tok = 1;
  const Workplace work{config};
  work.run(work.recipe(), "run", {"kind=ptq", "calibrate.tokens=64"});
  const std::string log = read_file(work.path("run/log.txt"), "the log");
  EXPECT_NE(log.find(" of 128 experts saw no token in calibration: model.layers.0.mlp.experts."), std::string::npos)
      << log;
}

// Searched scales are as good in training, checkpoints, exports and after a resume as those that follow the amax.
TEST(SearchedScales, AreKeptThroughARunAndItsExports) {
  const Workplace work;
  const auto recipe = work.recipe("export: [dense, modelopt]\ncheckpoint: {every: 1}\n");
  work.run(recipe, "max", {"kind=ptq"});
  work.run(recipe, "mse", {"kind=ptq", "calibrate.algorithm=mse"});
  const auto summary = [&](const char* name) { return read_summary(work.path(name) / "summary.json"); };
  EXPECT_LT(summary("mse").eval.kl_mean, summary("max").eval.kl_mean);
  for (const ExportSummary& exported : summary("mse").exports)
    EXPECT_NEAR(exported.eval.kl_mean, summary("mse").eval.kl_mean, 1e-4) << exported.format;

  work.run(recipe, "whole", {"calibrate.algorithm=mse", "train.steps=4", "checkpoint.keep=9"});
  fs::copy(work.path("whole"), work.path("half"), fs::copy_options::recursive);
  for (const char* name : {"summary.json", "checkpoints/step-00000003.h5", "checkpoints/step-00000004.h5"})
    ASSERT_TRUE(fs::remove(work.path("half") / name)) << name;
  const Outcome resumed = Workplace::start({"resume", work.at("half")});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  const auto last = [&](const char* name) {
    return load_checkpoint(work.path(name) / "checkpoints/step-00000004.h5").tensors;
  };
  const auto whole = last("whole"), half = last("half");
  const std::string scales = "scale/model.layers.0.self_attn.q_proj.weight.block_scales";
  ASSERT_TRUE(whole.contains(scales));
  ASSERT_EQ(whole.size(), half.size());
  for (const auto& [name, tensor] : whole)
    EXPECT_TRUE(std::equal(tensor.raw(), tensor.raw() + tensor.bytes(), half.at(name).raw())) << name;
  work.run_refused({"calibrate.algorithm=mse", "quantize.tensor_scale.from=data"}, ExitCode::usage,
                   {"calibrate.algorithm", "max"});
}

}  // namespace
}  // namespace qad
