// Runs whose student is a pruned teacher: trained beside a teacher of another shape, stopped and resumed, exported,
// opened again, quantized afterwards; and what is refused before anything is written.
#include <gtest/gtest.h>

#include "autograd/base/interrupt.h"
#include "models/families/hf_config.h"
#include "qad/report/summary.h"
#include "qad/run/named_model.h"
#include "qad/run/run_one.h"
#include "qad/run/student.h"
#include "tests/bad_input/refusal.h"
#include "tests/support/same_run.h"
#include "tests/verbs/stopped_run.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Arguments;
using testing::Outcome;
using testing::Workplace;

const Arguments kPrune = {"kind=prune", "quantize.rules=[]", "export=[dense]", "train.lr=1e-3"};
constexpr const char* kSizes =
    "prune={num_hidden_layers: 2, hidden_size: 16, intermediate_size: 32, "
    "num_attention_heads: 2}";

Arguments pruned(Arguments more = {}) {
  more.insert(more.begin(), kPrune.begin(), kPrune.end());
  more.insert(more.begin(), kSizes);
  return more;
}

TEST(PruneRun, ExportsAModelOfItsSizesWithTheStudentsFigures) {
  const Workplace work;
  work.run(work.recipe(), "run", pruned());
  const RunSummary summary = read_summary(work.path("run/summary.json"));
  EXPECT_EQ(summary.kind, "prune");
  EXPECT_LT(summary.eval.kl_mean, summary.before.kl_mean);
  const fs::path folder = work.path("run/export/dense");
  const ModelConfig config = read_hf_config(folder);
  EXPECT_EQ(config.num_hidden_layers, 2);
  EXPECT_EQ(config.hidden_size, 16);
  EXPECT_EQ(config.intermediate_size, 32);
  EXPECT_EQ(config.num_attention_heads, 2);
  EXPECT_EQ(config.num_key_value_heads, 2);
  EXPECT_EQ(config.head_dim, 8);
  EXPECT_NE(read_file(folder / "config.json", "").find("\"head_dim\": 8"), std::string::npos);
  EXPECT_EQ(summary.exports.front().eval.kl_mean, summary.eval.kl_mean) << "the export is not the student";
  const Outcome answer = Workplace::start({"generate", folder.string(), "--max-tokens", "8"});
  EXPECT_EQ(answer.exit_code, 0) << answer.err;
}

TEST(PruneRun, WithoutStepsIsTheCutModel) {
  const Workplace work;
  work.run(work.recipe(), "run", pruned({"train.steps=0"}));
  const auto exported = load_model(work.path("run/export/dense"), WeightType::f32);
  const auto teacher = load_model(work.teacher(), WeightType::f32);
  const Materials materials = load_materials(read_recipe({work.path("run")}), {work.path("run")});
  const Student student =
      make_student(read_recipe({work.path("run")}), materials.teacher.get(), &materials.calibration);
  for (std::size_t i = 0; i < exported->parameters().size(); ++i) {
    const ParameterPointer parameter = exported->parameters()[i];
    const Tensor expected = student.model->parameters()[i]->value().to(DType::bf16).to(DType::f32);
    EXPECT_TRUE(std::ranges::equal(parameter->value().span(), expected.span())) << parameter->name;
  }
}

TEST(PruneRun, StoppedAndResumedItIsTheSame) {
  const Workplace work;
  for (const char* kind : {"kind=prune", "kind=qad"}) {
    const bool quantizes = std::string_view(kind) == "kind=qad";
    std::vector<std::string> overrides = {kSizes, kind, "checkpoint.every=1", "export=[dense]"};
    if (!quantizes) overrides.emplace_back("quantize.rules=[]");
    const Recipe recipe = load_recipe(work.recipe(), overrides);
    const auto folder = [&](const char* name) { return work.path(std::string(name) + kind); };
    static_cast<void>(  // the first stop comes where it is scored
        testing::run_whole_and_in_parts(recipe, folder("whole"), folder("parts"), {2, 20, 40, 60}));
    const auto at = [&](const char* name, const char* file) { return folder(name).string() + file; };
    testing::expect_same_checkpoints(at("parts", "/checkpoints"), at("whole", "/checkpoints"));
    constexpr const char* kFile = "/export/dense/model.safetensors";
    EXPECT_EQ(read_file(at("parts", kFile), "", kAnySize), read_file(at("whole", kFile), "", kAnySize)) << kind;
  }
}

TEST(PruneRun, IsTheSameAtAnyThreadCount) {
  const Workplace work;
  const auto recipe = work.recipe();
  for (const char* threads : {"1", "3"}) {
    Arguments arguments = Workplace::run_arguments(recipe, work.at(std::string("run") + threads), pruned());
    arguments.insert(arguments.end(), {"--quiet", "--threads", threads});
    const Outcome outcome = testing::run_program(arguments);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }
  testing::expect_same_checkpoints(work.path("run1/checkpoints"), work.path("run3/checkpoints"));
}

TEST(PruneRun, IsPrunedDistilledQuantizedAndDistilledAgain) {
  const Workplace work;
  work.run(work.recipe(), "pruned", pruned());
  const std::string student = "student.model=" + work.at("pruned");
  const Outcome plan = Workplace::start({"plan", work.recipe().string(), student});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  work.run(work.recipe(), "qad", {student, "export=[modelopt, dense]"});
  const RunSummary summary = read_summary(work.path("qad/summary.json"));
  EXPECT_EQ(read_hf_config(work.path("qad/export/modelopt")).hidden_size, 16);
  EXPECT_EQ(summary.exports.front().eval.kl_mean, summary.eval.kl_mean);
  const Outcome eval = Workplace::start({"eval", work.at("qad"), "--json"});
  EXPECT_EQ(eval.exit_code, 0) << eval.err;
  // And as a teacher, which it is of its own shape.
  work.run(work.recipe(), "again", {"teacher.model=" + work.at("pruned"), "export=[dense]"});
  EXPECT_EQ(read_hf_config(work.path("again/export/dense")).num_hidden_layers, 2);
  // Twice: a pruned run is pruned again.
  work.run(work.recipe(), "smaller", {student, "kind=prune", "quantize.rules=[]", "prune={num_hidden_layers: 1}"});
  const auto model = load_named_model(work.path("smaller"), RunModel::masters, WeightType::file);
  EXPECT_EQ(model->config().num_hidden_layers, 1);
  EXPECT_EQ(model->config().hidden_size, 16);
}

TEST(PruneRun, ArmsOfAComparisonDifferInWhatStays) {
  const Workplace work;
  const auto recipe = work.recipe(
      "prune: {intermediate_size: 32}\narms:\n"
      "  - {name: importance, kind: prune}\n"
      "  - {name: random, kind: prune, set: [prune.method=random]}\n"
      "  - {name: fresh, kind: prune, set: [prune.method=fresh]}\n"
      "  - {name: at-once, kind: qad}\n");
  const Outcome outcome = Workplace::start({"compare", recipe.string(), "kind=compare", "--out", work.at("run")});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const RunSummary summary = read_summary(work.path("run/summary.json"));
  ASSERT_EQ(summary.arms.size(), 5u);
  EXPECT_LT(summary.arms[1].before.kl_mean, summary.arms[3].before.kl_mean);
  EXPECT_LT(summary.arms[4].bits_per_weight, 9.0);
}

TEST(PruneRun, PlansWhatItWillTake) {
  const Workplace work;
  Arguments arguments = {"plan", work.recipe().string()};
  for (const std::string& one : pruned()) arguments.push_back(one);
  const Outcome outcome = Workplace::start(arguments);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
}

TEST(PruneRun, WhatCantBeHadIsRefusedWithItsPlace) {
  const Workplace work;
  const auto refused = [&](const std::string& prune, const std::vector<std::string>& words,
                           const Arguments& more = {}) {
    Arguments overrides = {"kind=prune", "quantize.rules=[]", "prune=" + prune};
    overrides.insert(overrides.end(), more.begin(), more.end());
    work.run_refused(overrides, ExitCode::usage, words);
  };
  refused("{hidden_size: 24}", {"prune.hidden_size: expected a multiple of 16", "the nearest are 16 and 32"});
  refused("{intermediate_size: 128}", {"prune.intermediate_size: expected at most the model's own 64, got 128"});
  refused("{num_hidden_layers: 4}", {"prune.num_hidden_layers: expected at most the model's own 3, got 4"});
  refused("{num_experts: 2}", {"prune.num_experts", "no experts"});
  refused("{}", {"prune: expected a size"});
  refused("{hiden_size: 16}", {"hiden_size"});
  refused("{hidden_size: 16}", {"loss.hidden_weight: expected 0 with prune.hidden_size"}, {"loss.hidden_weight=0.5"});
  work.run_refused({"kind=prune", "quantize.rules=[]"}, ExitCode::usage, {"prune: expected a section prune"});
  work.run_refused({"kind=sft", "teacher=null", "student.model=" + work.teacher().string(), "quantize.rules=[]",
                    "prune={hidden_size: 16}"},
                   ExitCode::usage, {"prune: expected no such section for kind: sft"});
  refused("{hidden_size: 16}", {"quantize.rules: expected no rules for kind: prune"},
          {"quantize.rules=[{layers: '*', weights: nvfp4}]"});
}

TEST(PruneRun, ActivationsThatTellNothingAreRefusedAndLeaveNothing) {
  const Workplace work;
  const auto model = load_model(work.teacher(), WeightType::f32);
  for (const ParameterPointer& parameter : model->parameters())
    if (parameter->name.find("up_proj") != std::string::npos) parameter->value().fill(0);
  save_model(work.teacher(), *model, DType::bf16);
  work.run_refused({"kind=prune", "quantize.rules=[]", "prune={intermediate_size: 32}"}, ExitCode::failed,
                   {"expected activations that tell its feed-forward units apart, got the same from all of them"});
}

}  // namespace
}  // namespace qad
