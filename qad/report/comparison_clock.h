// How long all runs of a comparison still take: from the pace of those that are done or running and the steps of those
// to come.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "qad/report/run_so_far.h"
#include "qad/report/summary.h"
#include "qad/train/events.h"

namespace qad {

struct PlannedRun {
  std::string name;
  std::string kind;
  std::int64_t steps = 0;
  std::int64_t batch_size = 1;  ///< sequences a step
};

/// Listens to the runs, which come in the given order.
class ComparisonClock final : public RunListener {
 public:
  explicit ComparisonClock(std::vector<PlannedRun> runs, RunSoFar::Clock clock = {});

  /// Before the next run is made ready, and when it is complete (or was found so).
  void begin_run();
  void end_run(const RunSummary& summary);
  void run_started(const RunStarted& event) override;
  void step_done(const StepDone& event) override { run_.step_done(event); }
  void run_finished(const RunFinished& event) override { run_.run_finished(event); }

  /// Whether a run has started and is not complete.
  [[nodiscard]] bool is_running() const { return is_running_; }
  /// About; NaN while nothing was measured that tells it, and where only answers and exports of the last run are left.
  [[nodiscard]] double seconds_left() const;
  /// Names of the runs that have not begun.
  [[nodiscard]] std::vector<std::string> to_come() const;

 private:
  /// Seconds a sequence.
  [[nodiscard]] double pace_of(const std::string& kind) const;
  [[nodiscard]] double seconds_of(const PlannedRun& run, std::int64_t steps) const;
  [[nodiscard]] double seconds_around() const;

  std::vector<PlannedRun> runs_;
  RunSoFar::Clock clock_;
  RunSoFar run_;
  std::size_t next_ = 0;  ///< the first run that has not begun
  bool is_running_ = false, is_trained_from_start_ = false;
  double began_ = 0.0;
  std::map<std::string, double> pace_;  ///< of kinds that have run: seconds a sequence, evaluations included
  std::vector<double> around_;          ///< of each run that was seen whole: what came before and after its steps
};

}  // namespace qad
