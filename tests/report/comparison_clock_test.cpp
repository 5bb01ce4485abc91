// How long a comparison still takes, by a clock that the test sets.
#include "qad/report/comparison_clock.h"

#include <gtest/gtest.h>

#include <cmath>

namespace qad {
namespace {

class Comparison : public ::testing::Test {
 protected:
  void start(const char* kind, std::int64_t steps, std::int64_t first_step = 0) {
    RunStarted event;
    event.kind = kind;
    event.planned_steps = steps;
    event.first_step = first_step;
    clock_.run_started(event);
  }
  void step(std::int64_t step, double seconds) {
    now_ += seconds;
    StepDone event;
    event.step = step;
    clock_.step_done(event);
  }
  void end(std::int64_t steps, double seconds) {
    RunSummary summary;
    summary.steps = steps;
    summary.seconds = seconds;
    clock_.end_run(summary);
  }

  double now_ = 1000.0;
  ComparisonClock clock_{
      {{"ptq", "ptq", 0, 4}, {"qat-a", "qat", 10, 4}, {"qat-b", "qat", 10, 4}, {"qad", "qad", 20, 8}},
      [this] { return now_; }};
};

TEST_F(Comparison, KnowsNothingBeforeAStep) {
  clock_.begin_run();
  EXPECT_TRUE(std::isnan(clock_.seconds_left()));
  EXPECT_EQ(clock_.to_come(), (std::vector<std::string>{"qat-a", "qat-b", "qad"}));
  EXPECT_FALSE(clock_.is_running());
}

TEST_F(Comparison, AddsWhatIsLeftOfTheRunToThoseToCome) {
  clock_.begin_run();
  start("ptq", 0);
  now_ += 5.0;
  end(0, 0.0);  // 5 seconds around no steps
  clock_.begin_run();
  start("qat", 10);
  EXPECT_TRUE(clock_.is_running());
  step(1, 2.0);
  // 9 steps of qat-a and 10 of qat-b, 2 seconds each; qad, 20 of twice the sequences; 5 seconds around each of the
  // three.
  EXPECT_DOUBLE_EQ(clock_.seconds_left(), 9 * 2.0 + 10 * 2.0 + 20 * 4.0 + 3 * 5.0);
  for (std::int64_t s = 2; s <= 10; ++s) step(s, 2.0);
  now_ += 7.0;
  end(10, 20.0);  // 7 seconds around its steps: 6 in the mean
  EXPECT_FALSE(clock_.is_running());
  EXPECT_DOUBLE_EQ(clock_.seconds_left(), 10 * 2.0 + 20 * 4.0 + 2 * 6.0);
  EXPECT_EQ(clock_.to_come(), (std::vector<std::string>{"qat-b", "qad"}));
}

TEST_F(Comparison, OwnPaceOfAKindAndOfAResumedRun) {
  clock_.begin_run();  // found complete
  end(0, 0.0);
  clock_.begin_run();
  end(10, 40.0);
  clock_.begin_run();
  start("qat", 10, 5);
  step(6, 3.0);
  EXPECT_DOUBLE_EQ(clock_.seconds_left(), 4 * 3.0 + 20 * 6.0) << "qad by the pace that qat has now";
  now_ += 100.0;
  end(10, 40.0);
  clock_.begin_run();
  start("qad", 20);
  EXPECT_DOUBLE_EQ(clock_.seconds_left(), 20 * 8.0) << "by the pace that qat had in whole runs";
  step(1, 6.0);
  EXPECT_DOUBLE_EQ(clock_.seconds_left(), 19 * 6.0);
  for (std::int64_t s = 2; s <= 20; ++s) step(s, 6.0);
  EXPECT_TRUE(std::isnan(clock_.seconds_left())) << "what its answers and exports take is not known";
  end(20, 120.0);
  EXPECT_DOUBLE_EQ(clock_.seconds_left(), 0.0);
}

}  // namespace
}  // namespace qad
