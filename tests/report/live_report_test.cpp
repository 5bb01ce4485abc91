// report.html while a run goes on, where it stops, and when it can't be written.
#include "qad/report/live_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "autograd/base/atomic_file.h"
#include "autograd/base/log.h"
#include "qad/report/metrics_log.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

class Live : public ::testing::Test {
 protected:
  void start(LiveReport::Page page = {}) {
    metrics_.emplace(folder_ / "metrics.jsonl");
    report_.emplace(folder_.path(), std::move(page), [this] { return now_; });
    RunStarted event;
    event.kind = event.name = "qad";
    event.planned_steps = 400;
    metrics_->run_started(event);
    report_->run_started(event);
  }
  void step(std::int64_t step, bool eval_follows = false) {
    now_ += 0.5;
    StepDone event;
    event.step = step;
    event.loss = 0.25;
    event.eval_follows = eval_follows;
    metrics_->step_done(event);
    report_->step_done(event);
    if (eval_follows) evaluated(step, 0.0625);
  }
  void evaluated(std::int64_t step, double kl) {
    EvalDone event;
    event.step = step;
    event.figures.kl_mean = kl;
    event.figures.tokens = 1000;
    event.kept = true;
    metrics_->eval_done(event);
    report_->eval_done(event);
  }
  [[nodiscard]] std::string html() const { return read_file(folder_ / "report.html", "a report"); }
  [[nodiscard]] bool says(const std::string& text) const { return html().find(text) != std::string::npos; }

  testing::TemporaryFolder folder_;
  double now_ = 1000.0;
  std::optional<MetricsLog> metrics_;
  std::optional<LiveReport> report_;
};

TEST_F(Live, IsDrawnFromTheStartAtEvaluationsAndEveryHalfMinute) {
  start();
  EXPECT_TRUE(says("<b>Still running:</b> step 0 of 400."));
  EXPECT_TRUE(says("http-equiv=\"refresh\" content=\"30\""));
  evaluated(0, 0.125);
  EXPECT_TRUE(says("0.125"));
  for (std::int64_t s = 1; s < 50; ++s) step(s);
  EXPECT_TRUE(says("step 0 of 400")) << "24.5 seconds";
  step(50, true);
  EXPECT_TRUE(says("step 50 of 400, about 2:55 left"));
  EXPECT_TRUE(says("QAD (running)"));
  EXPECT_TRUE(says("before training"));
  EXPECT_TRUE(says("0.0625"));
  for (std::int64_t s = 51; s < 110; ++s) step(s);
  EXPECT_TRUE(says("step 50 of 400")) << "29.5 seconds";
  step(110);
  EXPECT_TRUE(says("step 110 of 400, about 2:25 left"));
  EXPECT_FALSE(says("did not help"));
}

TEST_F(Live, SaysWhereItStopped) {
  start();
  step(1);
  report_.reset();
  EXPECT_TRUE(says("<b>Stopped:</b> step 1 of 400. Drawn "));
  EXPECT_TRUE(says("QAD (interrupted)"));
  EXPECT_FALSE(says("http-equiv"));
}

TEST_F(Live, TheWholeReportIsTheLast) {
  start();
  step(400, true);
  RunSummary summary;
  summary.kind = "qad";
  summary.steps = summary.best_step = 400;
  summary.end = enum_name(RunEnd::planned_steps);
  summary.eval.kl_mean = 0.0625;
  report_->complete(summary);
  const std::string whole = html();
  EXPECT_FALSE(says("class=\"status\""));
  EXPECT_FALSE(says("http-equiv"));
  EXPECT_TRUE(says("0.0625"));
  report_.reset();
  EXPECT_EQ(html(), whole);
}

TEST_F(Live, TakesLessThanAHundredthOfTheTime) {
  int drawn = 0;
  start([&](const RunSoFar&, bool) {
    ++drawn;
    now_ += 2.0;
    return Report();
  });
  const double began = now_;
  for (std::int64_t s = 1; s <= 2000; ++s) step(s, true);
  EXPECT_EQ(drawn - 1, 5);  // every 200 seconds, of 1000 and the drawing
  EXPECT_LT(2.0 * (drawn - 1), 0.01 * (now_ - began));
  report_.reset();  // it draws once more
}

TEST_F(Live, ThatCanNotBeWrittenIsOneWarning) {
  fs::create_directories(folder_ / "report.html" / "a folder");
  log_to_file(folder_ / "log.txt");
  start();
  for (std::int64_t s = 1; s <= 100; ++s) step(s, s % 10 == 0);
  report_.reset();
  log_to_file({});
  const std::string log = read_file(folder_ / "log.txt", "a log");
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
  EXPECT_NE(log.find("report.html: expected"), std::string::npos) << log;
  EXPECT_NE(log.find("the run goes on without it"), std::string::npos) << log;
  EXPECT_EQ(read_metrics(folder_ / "metrics.jsonl").size(), 100u);
}

}  // namespace
}  // namespace qad
