#include "qad/report/comparison_clock.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace qad {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

}  // namespace

ComparisonClock::ComparisonClock(std::vector<PlannedRun> runs, RunSoFar::Clock clock)
    : runs_(std::move(runs)), clock_(clock ? std::move(clock) : RunSoFar::Clock(steady_seconds)), run_(clock_) {}

void ComparisonClock::begin_run() {
  began_ = clock_();
  ++next_;
  is_running_ = is_trained_from_start_ = false;
}

void ComparisonClock::run_started(const RunStarted& event) {
  run_.run_started(event);
  is_running_ = true;
  is_trained_from_start_ = event.first_step == 0;
}

void ComparisonClock::end_run(const RunSummary& summary) {
  const PlannedRun& run = runs_[next_ - 1];
  if (summary.steps > 0)
    pace_[run.kind] = summary.seconds / static_cast<double>(summary.steps * std::max<std::int64_t>(run.batch_size, 1));
  if (is_trained_from_start_) around_.push_back(std::max(clock_() - began_ - summary.seconds, 0.0));
  is_running_ = false;
}

double ComparisonClock::pace_of(const std::string& kind) const {
  if (const auto known = pace_.find(kind); known != pace_.end()) return known->second;
  if (is_running_ && run_.seconds_per_step() > 0.0)
    return run_.seconds_per_step() / static_cast<double>(std::max<std::int64_t>(runs_[next_ - 1].batch_size, 1));
  double slowest = kUnknown;  // of other kinds
  for (const auto& [other, pace] : pace_) slowest = std::fmax(slowest, pace);
  return slowest;
}

double ComparisonClock::seconds_of(const PlannedRun& run, std::int64_t steps) const {
  return steps > 0 ? static_cast<double>(steps * run.batch_size) * pace_of(run.kind) : 0.0;
}

double ComparisonClock::seconds_around() const {
  return around_.empty() ? 0.0
                         : std::accumulate(around_.begin(), around_.end(), 0.0) / static_cast<double>(around_.size());
}

double ComparisonClock::seconds_left() const {
  double seconds = 0.0;
  if (is_running_ && !run_.is_trained()) {
    const double own = run_.seconds_left();
    seconds +=
        seconds_around() + (std::isnan(own) ? seconds_of(runs_[next_ - 1], run_.planned_steps() - run_.step()) : own);
  }
  for (std::size_t i = next_; i < runs_.size(); ++i) seconds += seconds_around() + seconds_of(runs_[i], runs_[i].steps);
  return is_running_ && seconds <= 0.0 ? kUnknown : seconds;  // what comes after the last steps takes its time too
}

std::vector<std::string> ComparisonClock::to_come() const {
  std::vector<std::string> names;
  for (std::size_t i = next_; i < runs_.size(); ++i) names.push_back(runs_[i].name);
  return names;
}

}  // namespace qad
