// The stages that make a teacher, each from the export of the one before, as a user runs them.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "qad/checkpoint/run_state.h"
#include "qad/report/metrics_log.h"
#include "qad/report/summary.h"
#include "tests/support/process.h"
#include "tests/verbs/tiny_run.h"

namespace qad {
namespace {

using testing::Outcome;

class Stages : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string lines;
    for (int i = 0; i < 60; ++i)
      lines += nlohmann::json{{"prompt", std::to_string(i) + "+1="}, {"text", std::to_string(i + 1)}}.dump() + "\n";
    write_file_atomically(work_.path("sums.jsonl"), lines);
  }
  // Of `kind`, with `sections` for what it starts from.
  [[nodiscard]] std::string recipe(const std::string& kind, const std::string& sections) const {
    const std::string source = "{jsonl: \"" + work_.path("sums.jsonl").string() +
                               "\", prompt_field: prompt, prompt_separator: \"\", eos: true}";
    const auto file = work_.path(kind + ".yaml");
    write_file_atomically(file, "kind: " + kind + "\ndata: {train: " + source + ", eval: " + source +
                                    ", sequence_length: 64}\ntrain: {steps: 3, batch_size: 2, lr: 1.0e-3}\n"
                                    "evaluate: {every: 0}\nexport: [dense]\n" +
                                    sections + "\n");
    return file.string();
  }
  [[nodiscard]] std::string at(const std::string& name) const { return work_.path(name).string(); }
  static Outcome start(const testing::Arguments& arguments) {
    return testing::run_program(arguments, {{"OMP_WAIT_POLICY", "passive"}});
  }
  [[nodiscard]] RunSummary run(const std::string& recipe, const std::string& name) const {
    const Outcome outcome = start({"run", recipe, "--out", at(name)});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return read_summary(work_.path(name) / "summary.json");
  }
  testing::TinyRun work_;
};

TEST_F(Stages, SftStartsFromAModelAndLearnsAnswersAlone) {
  const RunSummary sft = run(recipe("sft", "student: {model: \"" + at("teacher") + "\"}"), "sft");
  EXPECT_EQ(sft.kind, "sft");
  EXPECT_EQ(sft.student, at("teacher"));
  EXPECT_EQ(sft.steps, 3);
  ASSERT_EQ(sft.exports.size(), 1u);
  EXPECT_NEAR(sft.exports[0].eval.cross_entropy, sft.eval.cross_entropy, 0.02);
  EXPECT_TRUE(std::filesystem::exists(work_.path("sft/export/dense/tokenizer.json")));
  // A document is its start token, a prompt, one or two digits and the end token: only the last two or three are
  // labels.
  EXPECT_LT(sft.tokens, 3 * 2 * 64 / 2);
  EXPECT_GT(sft.tokens, 0);

  // The next stage goes on from the export.
  const RunSummary next = run(recipe("sft", "student: {model: \"" + at("sft/export/dense") + "\"}"), "next");
  EXPECT_LT(next.eval.cross_entropy, sft.eval.cross_entropy);
}

TEST_F(Stages, MergingAModelWithItselfGivesItsBytesBack) {
  const std::string models = "{model: \"" + at("teacher") + "\", weight: 2}";
  const RunSummary merge = run(recipe("merge", "merge: {models: [" + models + ", " + models + "]}"), "merge");
  EXPECT_EQ(merge.steps, 0);
  EXPECT_EQ(merge.student, at("teacher") + " + " + at("teacher"));
  EXPECT_EQ(read_file(work_.path("merge/export/dense/model.safetensors"), ""),
            read_file(work_.path("teacher/model.safetensors"), ""));
  EXPECT_GT(merge.eval.cross_entropy, 0);
  EXPECT_EQ(merge.eval.cross_entropy, merge.exports.at(0).eval.cross_entropy);
}

TEST_F(Stages, GrpoLearnsFromItsOwnAnswersAndSaysWhatTheyAreWorth) {
  // Answers of a model that knows nothing are all wrong: it learns to come to an end.
  const std::string file = recipe("grpo", "student: {model: \"" + at("teacher") +
                                              "\"}\ngrpo: {families: [symbols], prompts: 6, group_size: 6, "
                                              "max_new_tokens: 48, reward_cut: -1}");
  const RunSummary grpo = run(file, "grpo");
  EXPECT_EQ(grpo.kind, "grpo");
  EXPECT_EQ(grpo.best_step, 3);
  EXPECT_GT(grpo.tokens, 0);
  const auto metrics = read_metrics(work_.path("grpo/metrics.jsonl"));
  ASSERT_EQ(metrics.size(), 4u);
  EXPECT_FALSE(metrics.front().training.rollout);
  ASSERT_TRUE(metrics.back().training.rollout);
  const RolloutFigures& rollout = *metrics.back().training.rollout;
  EXPECT_LT(rollout.reward, 0);
  EXPECT_NEAR(rollout.reward, -rollout.cut, 1e-9);
  EXPECT_GT(rollout.length, 1);
  EXPECT_NE(read_file(work_.path("grpo/report.html"), "").find("Mean reward"), std::string::npos);
  EXPECT_NE(start({"inspect", file}).out.find("6 problems with 6 answers each"), std::string::npos);

  const Outcome plan = start({"plan", file});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  for (const char* said : {"6 prompts with 6 answers each", "reference's weights", "answers, at their full length"})
    EXPECT_NE(plan.out.find(said), std::string::npos) << plan.out;
}

TEST_F(Stages, ArePlannedInspectedEvaluatedAndSpoken) {
  const std::string model = "{model: \"" + at("teacher") + "\"}";
  const std::string sft = recipe("sft", "student: " + model);
  const std::string merge = recipe("merge", "merge: {models: [" + model + ", " + model + "]}");
  for (const std::string& file : {sft, merge}) {
    const Outcome plan = start({"plan", file});
    EXPECT_EQ(plan.exit_code, 0) << plan.err;
    EXPECT_NE(plan.out.find("peak"), std::string::npos);
    EXPECT_NE(start({"inspect", file}).out.find(at("teacher")), std::string::npos);
  }
  (void)run(merge, "merged");
  for (const testing::Arguments& arguments : {testing::Arguments{"eval", at("merged")},
                                              {"generate", at("merged"), "--prompt", "1+1="},
                                              {"inspect", at("merged")},
                                              {"export", at("merged"), "--format", "dense", "--out", at("again")}}) {
    const Outcome outcome = start(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  }
}

}  // namespace
}  // namespace qad
