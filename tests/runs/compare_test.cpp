// A comparison through the real program: its rows, its report, its exports, and `qad eval` on an export.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>

#include "autograd/base/atomic_file.h"
#include "data/files/hdf5_file.h"
#include "data/text/documents.h"
#include "data/tokenizer/tokenizer.h"
#include "qad/report/summary.h"
#include "tests/runs/program_run.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Outcome;

fs::path teacher_folder() { return testing::shared_data() / "tinystories-656k-hf"; }

// The first documents of the story text, as `qad run recipes/stories/…` would read them for evaluation.
void write_story_tokens(const fs::path& file) {
  SourceConfig source;
  source.text = {(testing::shared_data() / "tinystories-sample" / "tinystories_sample.txt").string()};
  source.format.separator = "<|endoftext|>";
  source.format.bos = source.format.eos = true;
  source.tokens = 12000;
  const Documents documents = load_documents(source, load_tokenizer(teacher_folder()).get(), 2048, "test");
  Tensor ids({documents.tokens()}, DType::i32), offsets({documents.count() + 1}, DType::i64);
  std::ranges::copy(documents.ids, ids.data<std::int32_t>());
  std::ranges::copy(documents.offsets, offsets.data<std::int64_t>());
  Hdf5Writer writer(file);
  writer.write_tensor("ids", ids);
  writer.write_tensor("offsets", offsets);
  writer.close();
}

void expect_a_row_for_each_arm(const RunSummary& comparison, const std::string& printed) {
  ASSERT_EQ(comparison.arms.size(), 4u);
  const ArmSummary &bf16 = comparison.arms[0], &ptq = comparison.arms[1], &qat = comparison.arms[2],
                   &qad = comparison.arms[3];
  EXPECT_EQ(bf16.name + " " + ptq.name + " " + qat.name + " " + qad.name, "bf16 ptq qat qad");
  EXPECT_EQ(bf16.eval.kl_mean, 0);
  EXPECT_GT(ptq.eval.kl_mean, 0.125);
  EXPECT_LT(ptq.eval.kl_mean, 0.14);
  EXPECT_LT(qad.eval.kl_mean, ptq.eval.kl_mean);
  EXPECT_EQ(ptq.steps, 0);
  EXPECT_EQ(qat.steps, 24);
  EXPECT_NEAR(ptq.bits_per_weight, 9.107, 0.01);
  for (const ArmSummary& arm : comparison.arms) {
    EXPECT_EQ(arm.eval.tokens, 12000);
    EXPECT_NE(printed.find(arm.name), std::string::npos);
  }
  EXPECT_EQ(comparison.eval.kl_mean, qad.eval.kl_mean);
}

void expect_equal_budgets(const fs::path& run) {
  const auto position = [&](const std::string& arm) {
    const auto found = CheckpointFolder(run / "arms" / arm / "checkpoints", 1).newest_whole();
    return std::get<std::int64_t>(found->content.numbers.at("data_position"));
  };
  EXPECT_EQ(position("qat"), 24 * 4);
  EXPECT_EQ(position("qad-lr0.001"), 24 * 4);
}

void expect_reports_that_need_no_network(const fs::path& run) {
  for (const fs::path& page : {run / "report.html", run / "arms" / "qat" / "report.html"}) {
    const std::string html = read_file(page, "a report");
    EXPECT_NE(html.find("<svg"), std::string::npos);
    EXPECT_FALSE(std::regex_search(html, std::regex(R"((src|href)\s*=\s*["']?\s*(https?:)?//)"))) << page;
    EXPECT_EQ(html.find("@import"), std::string::npos);
    EXPECT_EQ(html.find("<link"), std::string::npos);
  }
}

void expect_eval_of_exports_to_agree(const fs::path& run, const RunSummary& comparison, const fs::path& tokens) {
  ASSERT_EQ(comparison.exports.size(), 2u);
  for (const ExportSummary& exported : comparison.exports) {
    SCOPED_TRACE(exported.format);
    const Outcome outcome =
        testing::run_program({"eval", (run / exported.folder).string(), "--teacher", teacher_folder().string(),
                              "--data", tokens.string(), "--tokens", "12000", "--json"});
    testing::expect_done(outcome);
    const auto figures = nlohmann::json::parse(outcome.out);
    EXPECT_NEAR(figures.at("kl_mean").get<double>(), exported.eval.kl_mean, 1e-12);
    EXPECT_NEAR(figures.at("kl_p99").get<double>(), exported.eval.kl_p99, 1e-12);
    EXPECT_NEAR(figures.at("top1_agreement").get<double>(), exported.eval.top1_agreement, 1e-12);
  }
  // What was trained is what was exported: from its bytes the same numbers, bit for bit.
  EXPECT_EQ(comparison.exports[0].format, "modelopt");
  EXPECT_EQ(comparison.exports[0].eval.kl_mean, comparison.eval.kl_mean);
  EXPECT_EQ(comparison.exports[0].eval.kl_p99, comparison.eval.kl_p99);
  EXPECT_EQ(comparison.exports[0].eval.cross_entropy, comparison.eval.cross_entropy);
  EXPECT_EQ(comparison.exports[0].eval.top1_agreement, comparison.eval.top1_agreement);
}

TEST(Comparison, OnTheStoryModel) {
  QAD_REQUIRE_SHARED_DATA();
  const testing::TemporaryFolder folder;
  const fs::path tokens = folder / "tokens.h5", run = folder / "run";
  write_story_tokens(tokens);
  testing::Environment environment = testing::run_environment();
  environment["QAD_TEST_TOKENS"] = tokens.string();
  const std::string recipe = (testing::source_dir() / "tests/runs/compare.yaml").string();
  const Outcome outcome = testing::run_program({"compare", recipe, "--out", run.string()}, environment);
  testing::expect_done(outcome);
  ASSERT_TRUE(fs::exists(run / "summary.json"));

  const RunSummary comparison = read_summary(run / "summary.json");
  expect_a_row_for_each_arm(comparison, outcome.out);
  expect_equal_budgets(run);
  expect_reports_that_need_no_network(run);
  expect_eval_of_exports_to_agree(run, comparison, tokens);

  // Resumed when it is complete, it says the same and runs no arm again.
  const auto trained = fs::last_write_time(run / "arms/qat/metrics.jsonl");
  testing::expect_done(testing::run_program({"resume", run.string()}, environment));
  EXPECT_EQ(read_summary(run / "summary.json").eval.kl_mean, comparison.eval.kl_mean);
  EXPECT_EQ(fs::last_write_time(run / "arms/qat/metrics.jsonl"), trained);
}

}  // namespace
}  // namespace qad
