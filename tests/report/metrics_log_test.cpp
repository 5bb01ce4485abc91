// metrics.jsonl and summary.json: what is written is read back, and a killed and resumed run leaves the file of an
// undisturbed one.
#include "qad/report/metrics_log.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <string>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "qad/report/summary.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

StepDone step_at(std::int64_t step) {
  StepDone event;
  event.step = step;
  event.tokens = 1000 * step;
  event.loss = 1.0 / (3.0 * static_cast<double>(step));
  event.lr = 1e-3 / 7.0;
  event.grad_norm = 0.1 + 0.2;
  event.tokens_per_second = 512.5;
  event.saturated_activations = step % 3;
  event.eval_follows = step % 5 == 0;
  return event;
}

EvalDone eval_at(std::int64_t step) {
  EvalDone event;
  event.step = step;
  event.tokens = 1000 * step;
  event.figures.kl_mean = 0.13 / (1.0 + static_cast<double>(step));
  event.figures.kl_mean_stderr = 0.001;
  event.figures.documents = 40;
  event.figures.tokens = 5000;
  return event;
}

void play(MetricsLog& log, std::int64_t first_step, std::int64_t last_step) {
  RunStarted started;
  started.first_step = first_step;
  started.evaluation_pending = first_step == 0;
  log.run_started(started);
  if (first_step == 0) log.eval_done(eval_at(0));
  for (std::int64_t step = first_step + 1; step <= last_step; ++step) {
    log.step_done(step_at(step));
    if (step_at(step).eval_follows) log.eval_done(eval_at(step));
  }
}

TEST(MetricsLog, OneObjectAStepAndTheSameNumbersBack) {
  const testing::TemporaryFolder folder;
  MetricsLog log(folder / "metrics.jsonl");
  play(log, 0, 6);

  const std::string text = read_file(folder / "metrics.jsonl", "metrics");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 7);
  EXPECT_TRUE(text.starts_with(R"({"step":0,"tokens":0,"eval":{"kl_mean":0.13,"kl_mean_stderr":0.001,)")) << text;
  EXPECT_NE(text.find("\n{\"step\":1,\"tokens\":1000,\"loss\":0.3333333333333333,\"lr\":"), std::string::npos) << text;

  const auto records = read_metrics(folder / "metrics.jsonl");
  ASSERT_EQ(records.size(), 7u);
  EXPECT_TRUE(std::isnan(records[0].training.loss));
  for (std::int64_t step = 1; step <= 6; ++step) {
    const MetricsRecord& record = records[static_cast<std::size_t>(step)];
    EXPECT_EQ(record.training.step, step);
    EXPECT_EQ(record.training.loss, step_at(step).loss);
    EXPECT_EQ(record.training.lr, step_at(step).lr);
    EXPECT_EQ(record.training.grad_norm, step_at(step).grad_norm);
    EXPECT_EQ(record.training.saturated_activations, step % 3);
    EXPECT_EQ(record.eval.has_value(), step == 5);
  }
  EXPECT_EQ(records[5].eval->kl_mean, eval_at(5).figures.kl_mean);
  EXPECT_TRUE(std::isnan(records[5].eval->cross_entropy));
}

TEST(MetricsLog, SkippedStepWithoutALossIsNull) {
  const testing::TemporaryFolder folder;
  MetricsLog log(folder / "metrics.jsonl");
  log.run_started({});
  StepDone event = step_at(1);
  event.loss = INFINITY;
  event.grad_norm = NAN;
  event.skipped = true;
  log.step_done(event);
  const std::string text = read_file(folder / "metrics.jsonl", "metrics");
  EXPECT_NE(text.find("\"loss\":null"), std::string::npos) << text;
  const auto records = read_metrics(folder / "metrics.jsonl");
  EXPECT_TRUE(std::isnan(records.at(0).training.loss));
  EXPECT_TRUE(records.at(0).training.skipped);
}

TEST(MetricsLog, ARecordHasEveryFieldInItsPlace) {
  const testing::TemporaryFolder folder;
  MetricsLog log(folder / "metrics.jsonl");
  log.run_started({});
  log.step_done({.step = 1,
                 .tokens = 2,
                 .loss = 0.5,
                 .lr = 0.25,
                 .grad_norm = 2.5,
                 .tokens_per_second = 12.5,
                 .saturated_weights = 5,
                 .saturated_activations = 6,
                 .skipped = true,
                 .eval_follows = true,
                 .rollout = RolloutFigures{.reward = 0.125, .kl = 0.0625}});
  log.eval_done({.step = 1, .tokens = 2, .figures = {.cross_entropy = 0.75, .documents = 3}});
  EXPECT_EQ(read_file(folder / "metrics.jsonl", "metrics"),
            R"({"step":1,"tokens":2,"loss":0.5,"lr":0.25,"grad_norm":2.5,"tokens_per_second":12.5,)"
            R"("saturated_weights":5,"saturated_activations":6,"skipped":true,"rollout":{"reward":0.125,"kl":0.0625},)"
            R"("eval":{"cross_entropy":0.75,"documents":3,"tokens":0}})"
            "\n");
  const MetricsRecord record = read_metrics(folder / "metrics.jsonl").at(0);
  EXPECT_EQ(record.training.saturated_weights, 5);
  EXPECT_TRUE(record.training.skipped && record.training.eval_follows);
  EXPECT_EQ(record.training.rollout.value().kl, 0.0625);
  EXPECT_EQ(record.eval.value().documents, 3);
  write_file_atomically(folder / "metrics.jsonl", "{\"step\":1,\"loss\":2}\n");
  EXPECT_THROW(static_cast<void>(read_metrics(folder / "metrics.jsonl")), Error);  // no tokens
}

TEST(MetricsLog, ResumeDropsWhatTheCheckpointDoesNotKnow) {
  const testing::TemporaryFolder folder;
  const auto file = folder / "metrics.jsonl";
  MetricsLog undisturbed(folder / "undisturbed.jsonl");
  play(undisturbed, 0, 12);
  const std::string expected = read_file(folder / "undisturbed.jsonl", "metrics");

  for (const std::int64_t killed_after : {5, 7, 11}) {
    MetricsLog first(file);
    play(first, 0, killed_after);
    std::ofstream(file, std::ios::app) << R"({"step":8,"tok)";  // cut off
    MetricsLog resumed(file);
    play(resumed, 5, 12);
    EXPECT_EQ(read_file(file, "metrics"), expected);
  }
}

TEST(MetricsLog, ReaderForgivesACutOffEndAndNothingElse) {
  const testing::TemporaryFolder folder;
  const auto file = folder / "metrics.jsonl";
  write_file_atomically(file, "{\"step\":1,\"tokens\":5,\"loss\":2}\n{\"step\":2,");
  EXPECT_EQ(read_metrics(file).size(), 1u);
  write_file_atomically(file, "{\"step\":1,\"tokens\":5}\nnonsense\n{\"step\":2,\"tokens\":6}\n");
  try {
    (void)read_metrics(file);
    FAIL() << "a line of nonsense was read";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("metrics.jsonl:2: "), std::string::npos) << error.what();
  }
}

TEST(Summary, SameFiguresBack) {
  const testing::TemporaryFolder folder;
  RunStarted started;
  started.kind = "qad";
  started.teacher = "a <teacher>";
  started.parameters = 656'000;
  started.bits_per_weight = 4.5;
  RunFinished finished;
  finished.end = RunEnd::early_stop;
  finished.step = 400;
  finished.tokens = 123'456;
  finished.seconds = 61.25;
  finished.best_step = 350;
  finished.eval = eval_at(350).figures;
  RunSummary summary = summary_of(started, finished);
  summary.exports.push_back({"modelopt", "export/modelopt", 4321, eval_at(350).figures});
  summary.arms.push_back(arm_of({summary}, "qad at 1e-3", {"arms/qad"}));
  RunSummary other = summary;
  other.eval.kl_mean = 3 * summary.eval.kl_mean;
  summary.arms.push_back(arm_of({summary, other}, "two seeds", {"arms/a", "arms/b"}));
  write_summary(folder / "summary.json", summary);

  const RunSummary read = read_summary(folder / "summary.json");
  EXPECT_EQ(read.kind, "qad");
  EXPECT_EQ(read.teacher, "a <teacher>");
  EXPECT_EQ(read.end, "early_stop");
  EXPECT_EQ(read.tokens, 123'456);
  EXPECT_EQ(read.seconds, 61.25);
  EXPECT_GT(read.peak_rss_bytes, 1 << 20);
  EXPECT_FALSE(read.machine.empty());
  EXPECT_EQ(read.eval.kl_mean, summary.eval.kl_mean);
  EXPECT_TRUE(std::isnan(read.eval.perplexity));
  ASSERT_EQ(read.exports.size(), 1u);
  EXPECT_EQ(read.exports[0].bytes, 4321);
  ASSERT_EQ(read.arms.size(), 2u);
  EXPECT_EQ(read.arms[0].name, "qad at 1e-3");
  EXPECT_EQ(read.arms[0].folders, (std::vector<std::string>{"arms/qad"}));
  EXPECT_EQ(read.arms[0].bits_per_weight, 4.5);
  EXPECT_EQ(read.arms[1].folders, (std::vector<std::string>{"arms/a", "arms/b"}));
  EXPECT_DOUBLE_EQ(read.arms[1].eval.kl_mean, 2 * summary.eval.kl_mean);
  EXPECT_EQ(read.arms[1].eval.tokens, summary.eval.tokens);

  write_file_atomically(folder / "broken.json", "{\"kind\": 3}");
  EXPECT_THROW((void)read_summary(folder / "broken.json"), Error);
}

}  // namespace
}  // namespace qad
