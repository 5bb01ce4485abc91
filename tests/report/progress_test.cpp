// What a terminal, and what a log file, gets to see of a run.
#include "qad/report/progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "autograd/base/atomic_file.h"
#include "autograd/base/log.h"
#include "qad/report/format.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

struct Screen {
  std::string text;
  double now = 100.0;
  int columns = 80;
  Terminal terminal(bool redraws, bool escapes) {
    return {redraws, escapes, [this] { return columns; }, [this](std::string_view part) { text += part; }};
  }
  Progress::Clock clock() {
    return [this] { return now; };
  }
};

RunStarted run_of(std::int64_t steps) {
  RunStarted started;
  started.kind = started.name = "qad";
  started.planned_steps = steps;
  return started;
}

StepDone shown_step(std::int64_t step) {
  StepDone event;
  event.step = step;
  event.loss = 0.102;
  event.tokens_per_second = 9120;
  return event;
}

TEST(Progress, DrawsOneLineAndLeavesNone) {
  Screen screen;
  Progress progress(screen.terminal(true, false), screen.clock());
  progress.run_started(run_of(400));
  screen.now += 10.0;
  progress.step_done(shown_step(100));
  const std::string erased = "\r" + std::string(79, ' ') + "\r";
  EXPECT_EQ(screen.text, erased + "qad ━━━━━━╸────────────────────  100/400  loss 0.102  9.12k tokens/s  30 s left");
  EXPECT_EQ(display_width(screen.text.substr(erased.size())), 79);
  screen.text.clear();
  progress.run_finished({});
  EXPECT_EQ(screen.text, erased);
}

TEST(Progress, SaysHowLongAllArmsStillTake) {
  Screen screen;
  screen.columns = 100;
  double in_all = NAN;
  Progress progress(screen.terminal(true, false), screen.clock(), [&] { return in_all; });
  progress.run_started(run_of(400));
  screen.now += 10.0;
  progress.step_done(shown_step(100));
  EXPECT_TRUE(screen.text.ends_with("30 s left")) << screen.text;
  in_all = 760.0;
  screen.now += 10.0;
  progress.step_done(shown_step(200));
  EXPECT_TRUE(screen.text.ends_with("20 s left, all arms: about 12:40")) << screen.text;
  EXPECT_EQ(display_width(screen.text.substr(screen.text.rfind('\r') + 1)), 99);
}

TEST(Progress, RedrawsAtMostTenTimesASecond) {
  Screen screen;
  Progress progress(screen.terminal(true, true), screen.clock());
  progress.run_started(run_of(1001));
  for (int step = 1; step <= 1000; ++step) {
    screen.now += 0.01;
    progress.step_done(shown_step(step));
  }
  const auto drawn = std::count(screen.text.begin(), screen.text.end(), '\r');
  EXPECT_GE(drawn, 90);
  EXPECT_LE(drawn, 101);
  EXPECT_EQ(screen.text.find('\n'), std::string::npos);
  EXPECT_NE(screen.text.find("\x1b[36m"), std::string::npos);
  screen.text.clear();
  progress.run_finished({});
  EXPECT_EQ(screen.text, "\r\x1b[K");
}

TEST(Progress, FitsNarrowTerminals) {
  for (const int columns : {3, 20, 40, 60, 200}) {
    Screen screen;
    screen.columns = columns;
    Progress progress(screen.terminal(true, false), screen.clock());
    progress.run_started(run_of(400));
    progress.step_done(shown_step(100));
    EXPECT_LT(display_width(screen.text.substr(screen.text.rfind('\r') + 1)), columns);
    EXPECT_EQ(screen.text.find('\x1b'), std::string::npos);
  }
}

TEST(Progress, PlainLinesElsewhere) {
  const testing::TemporaryFolder folder;
  log_to_file(folder / "log.txt");
  Screen screen;
  Progress progress(screen.terminal(false, false), screen.clock());
  progress.run_started(run_of(30));
  for (int step = 1; step <= 30; ++step) {
    screen.now += 1.0;
    progress.step_done(shown_step(step));
  }
  EvalDone eval;
  eval.step = 30;
  eval.figures.kl_mean = 0.0803;
  eval.figures.kl_mean_stderr = 0.0012;
  eval.figures.top1_agreement = 0.81;
  progress.eval_done(eval);
  log_to_file({});
  EXPECT_EQ(screen.text, "");
  const std::string log = read_file(folder / "log.txt", "a log");
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 5) << log;  // steps 1, 11, 21, 30 and the evaluation
  EXPECT_NE(log.find("qad: step 11/30, loss 0.102, 9.12k tokens/s, 19 s left"), std::string::npos) << log;
  EXPECT_NE(log.find("qad: step 30, held-out KL 0.0803 ± 0.0012, top-1 81.0 %"), std::string::npos) << log;
}

TEST(CountProgress, SaysHowManyHowFastAndHowLong) {
  Screen screen;
  {
    CountProgress progress(screen.terminal(true, false), "bf16", "answers", 400, screen.clock());
    progress.update(1, 50);  // too early to be worth a line
    EXPECT_EQ(screen.text, "");
    screen.now += 10.0;
    progress.update(100, 91200);
    const std::string erased = "\r" + std::string(79, ' ') + "\r";
    EXPECT_EQ(screen.text, erased + "bf16 ━━━━━━━╸──────────────────────  100/400 answers  9.12k tokens/s  30 s left");
    screen.text.clear();
  }
  EXPECT_EQ(screen.text, "\r" + std::string(79, ' ') + "\r");
}

TEST(LogFile, ThatCanNotBeWrittenIsOneLine) {
  const testing::TemporaryFolder folder;
  const std::pair<std::string, std::string> cases[] = {
      {folder.path().string(), "a folder"},
      {(folder / "none/log.txt").string(), "No such file or directory"},
      {"/dev/full", "a device"}};
  for (const auto& [file, reason] : cases) {
    log_to_file(file);
    const std::string message = testing::error_of([] { log_info("a line"); });
    log_to_file({});
    EXPECT_EQ(message, file + ": expected a file that can be written, got " + reason);
  }
}

}  // namespace
}  // namespace qad
