// TensorBoard itself reads the event file of a run that was killed in the middle of a record and resumed.
#include <gtest/gtest.h>

#include <fstream>

#include "qad/report/tensorboard_log.h"
#include "tests/support/paths.h"
#include "tests/support/python.h"

namespace qad {
namespace {

// Evaluations at steps 0, 5, 10; the loss of step s is 1/s, held-out KL 0.5 + s.
void play(const std::filesystem::path& folder, std::int64_t first_step, std::int64_t last_step) {
  MetricsLog metrics(folder / "metrics.jsonl");
  TensorBoardLog events(folder / kEventFile, folder / "metrics.jsonl");
  RunListeners both;
  both.add(metrics);
  both.add(events);
  const auto evaluated = [&](std::int64_t step) {
    EvalDone event;
    event.step = step;
    event.figures.kl_mean = 0.5 + static_cast<double>(step);
    both.eval_done(event);
  };
  RunStarted started;
  started.first_step = first_step;
  started.evaluation_pending = first_step == 0;
  both.run_started(started);
  if (first_step == 0) evaluated(0);
  for (std::int64_t step = first_step + 1; step <= last_step; ++step) {
    StepDone event;
    event.step = step;
    event.loss = 1.0 / static_cast<double>(step);
    event.eval_follows = step % 5 == 0;
    both.step_done(event);
    if (event.eval_follows) evaluated(step);
  }
}

TEST(TensorBoard, ReadsEachStepOfAResumedRunOnce) {
  QAD_REQUIRE_PYTHON("tensorboard");
  const testing::TemporaryFolder folder;
  play(folder.path(), 0, 8);
  std::ofstream(folder / kEventFile, std::ios::app) << "half a record";
  play(folder.path(), 5, 12);
  const testing::Outcome outcome = testing::run_python({"-c", R"(
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
run = EventAccumulator(sys.argv[1])
run.Reload()
points = lambda tag: [(event.step, round(event.value, 6)) for event in run.Scalars(tag)]
assert points('loss') == [(s, round(1 / s, 6)) for s in range(1, 13)], points('loss')
assert points('eval/kl_mean') == [(0, 0.5), (5, 5.5), (10, 10.5)], points('eval/kl_mean'))",
                                                        folder.path().string()});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
}

}  // namespace
}  // namespace qad
