#include "qad/report/run_so_far.h"

#include <limits>
#include <utility>

#include "autograd/base/version.h"

namespace qad {

RunSoFar::RunSoFar(Clock clock) : clock_(std::move(clock)) {}

void RunSoFar::run_started(const RunStarted& event) {
  started_ = event;
  reached_ = {};
  reached_.step = event.first_step;
  reached_.tokens = event.tokens;
  reached_.seconds = event.seconds;
  reached_.best_step = event.best_step;
  reached_.before = event.before;
  reached_.eval = event.best;
  start_ = clock_();
  has_started_ = true;
  has_finished_ = false;
}

void RunSoFar::step_done(const StepDone& event) {
  reached_.step = event.step;
  reached_.tokens = event.tokens;
  last_step_ = clock_();
  reached_.skipped_steps += event.skipped ? 1 : 0;
}

void RunSoFar::eval_done(const EvalDone& event) {
  if (event.step == 0) reached_.before = event.figures;
  if (!event.kept) return;
  reached_.eval = event.figures;
  reached_.best_step = event.step;
}

void RunSoFar::run_finished(const RunFinished& event) {
  reached_ = event;
  has_finished_ = event.end != RunEnd::interrupted;
}

bool RunSoFar::is_trained() const { return has_finished_ || reached_.step >= started_.planned_steps; }

double RunSoFar::seconds_per_step() const {
  const std::int64_t steps_here = reached_.step - started_.first_step;
  if (steps_here <= 0) return std::numeric_limits<double>::quiet_NaN();
  return (last_step_ - start_) / static_cast<double>(steps_here);
}

double RunSoFar::seconds_left() const {
  return seconds_per_step() * static_cast<double>(started_.planned_steps - reached_.step);
}

RunSummary RunSoFar::summary() const {
  RunFinished now = reached_;
  if (!has_finished_) now.seconds = started_.seconds + (clock_() - start_);
  RunSummary summary = summary_of(started_, now);
  summary.version = kVersion;
  summary.end = kStillRunning;
  return summary;
}

}  // namespace qad
