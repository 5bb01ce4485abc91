// What the folder of a comparison shows while its arms run, after a stop, and when it was resumed to its end.
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "qad/report/metrics_log.h"
#include "qad/report/summary.h"
#include "qad/report/tensorboard_log.h"
#include "tests/bad_input/refusal.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Outcome;
using testing::Workplace;

std::string page(const fs::path& folder) { return read_file(folder / "report.html", "a report", kAnySize); }

void expect_words(const std::string& html, const std::vector<std::string>& words) {
  for (const std::string& word : words) EXPECT_NE(html.find(word), std::string::npos) << word;
}

class Sweep : public ::testing::Test {
 protected:
  static constexpr int kSteps = 400;

  void begin() {
    const std::string recipe = work_
                                   .recipe(
                                       "report: {tensorboard: true}\n"
                                       "arms: [{name: ptq, kind: ptq}, {name: qat, kind: qat, lr: [1.0e-4, 2.0e-4]}, "
                                       "{name: qad, kind: qad, set: [train.steps=2]}]\n")
                                   .string();
    testing::Process process({"compare", recipe, "kind=compare", "train.steps=" + std::to_string(kSteps), "--threads",
                              "1", "--out", comparison_.string()});
    const fs::path metrics = second_ / "metrics.jsonl";
    while (process.running() && (!fs::exists(metrics) || fs::file_size(metrics) < 1000))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    whole_page_ = page(comparison_);
    arm_page_ = page(second_);
    process.send(SIGTERM);
    EXPECT_EQ(process.wait().exit_code, 3);
  }

  Workplace work_;
  fs::path comparison_ = work_.path("cmp"), second_ = comparison_ / "arms" / "qat-lr0.0002";
  std::string whole_page_, arm_page_;  // while the second rate of qat ran
};

TEST_F(Sweep, IsShownWhileItRunsWhereItStopsAndToItsEnd) {
  begin();
  expect_words(whole_page_, {"<b>Still running:</b> qat-lr0.0002, step ", "all arms: about ", "still to come: qad.",
                             ">ptq<", "bf16", "qat-lr0.0001", "qat-lr0.0002 (running)", "http-equiv=\"refresh\""});
  expect_words(arm_page_, {"<b>Still running:</b> step ", " of 400"});
  EXPECT_FALSE(fs::exists(comparison_ / "summary.json"));
  expect_words(page(comparison_), {"<b>Stopped:</b> qat-lr0.0002, step ", "qat-lr0.0002 (interrupted)"});
  expect_words(page(second_), {"<b>Stopped:</b> step "});

  const Outcome outcome = Workplace::start({"resume", comparison_.string()});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const RunSummary summary = read_summary(comparison_ / "summary.json");
  ASSERT_EQ(summary.arms.size(), 4u);
  const std::vector<CandidateSummary>& tried = summary.arms[2].candidates;
  ASSERT_EQ(tried.size(), 2u);
  EXPECT_EQ(tried[0].name + " " + tried[1].name, "qat-lr0.0001 qat-lr0.0002");
  EXPECT_TRUE(tried[0].eval.measured() && tried[1].eval.measured());
  const std::string html = page(comparison_);
  EXPECT_EQ(html.find("class=\"status\""), std::string::npos);
  expect_words(html, {"Learning rates tried", "qat-lr0.0001", "qat-lr0.0002", "Tokens trained on: qat "});
  expect_words(outcome.out, {"learning rates tried", "qat-lr0.0001", "qat-lr0.0002", "Tokens trained on: qat "});
  for (const char* arm : {"ptq", "qat-lr0.0001", "qat-lr0.0002", "qad"})
    EXPECT_TRUE(fs::exists(comparison_ / "arms" / arm / kEventFile)) << arm;
}

// A page of the run before must not stand there twice.
TEST_F(Sweep, ThatFailsBetweenTwoRunsShowsEachOnce) {
  begin();
  fs::remove_all(comparison_ / "arms");
  write_file_atomically(comparison_ / "arms" / "qat-lr0.0001", "in the way");
  const Outcome outcome = Workplace::start({"resume", comparison_.string()});
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  const std::string html = page(comparison_);
  expect_words(html, {"<b>Stopped:</b> between two runs; still to come: qat-lr0.0002, qad."});
  EXPECT_EQ(html.find("(interrupted)"), std::string::npos);
}

}  // namespace
}  // namespace qad
