#include "qad/report/live_report.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <exception>
#include <utility>

#include "autograd/base/atomic_file.h"
#include "autograd/base/log.h"
#include "qad/report/format.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr double kSecondsBetween = kReloadSeconds;
constexpr double kMostShare = 0.01;  // of the run's time

}  // namespace

std::string progress_text(const RunSoFar& run, bool is_stopped) {
  if (run.is_trained()) return fmt::format("all its {} steps are done; answers and exports follow", run.step());
  std::string text = fmt::format("step {} of {}", run.step(), run.planned_steps());
  if (const double left = run.seconds_left(); !is_stopped && std::isfinite(left))
    text += fmt::format(", about {} left", format_duration(left));
  return text;
}

ReportStatus status_of(const std::string& progress, bool is_stopped) {
  const std::string now = fmt::format("{:%F %T %Z}", fmt::localtime(std::time(nullptr)));
  if (is_stopped) return {"Stopped", fmt::format("{}. Drawn {}; qad resume goes on with it.", progress, now), false};
  return {"Still running",
          fmt::format("{}. Drawn {}; it is drawn again at every evaluation and every half minute. Where that time "
                      "stands still, the run was ended from outside, and qad resume goes on with it.",
                      progress, now),
          true};
}

Report report_so_far(const fs::path& folder, const RunSoFar& run, bool is_stopped) {
  RunSummary summary = run.summary();
  if (is_stopped) summary.end = enum_name(RunEnd::interrupted);
  Report report = report_of(folder, summary);
  report.status = status_of(progress_text(run, is_stopped), is_stopped);
  return report;
}

LiveReport::LiveReport(fs::path folder, Page page, RunSoFar::Clock clock)
    : folder_(std::move(folder)),
      page_(std::move(page)),
      clock_(clock ? std::move(clock) : RunSoFar::Clock(steady_seconds)),
      run_(clock_) {
  if (!page_) page_ = [this](const RunSoFar& run, bool is_stopped) { return report_so_far(folder_, run, is_stopped); };
}

LiveReport::~LiveReport() {
  if (run_.has_started() && !is_complete_) draw(true);
}

void LiveReport::run_started(const RunStarted& event) {
  run_.run_started(event);
  draw(false);
}

void LiveReport::step_done(const StepDone& event) {
  run_.step_done(event);
  effort_.tell();
  if (!event.eval_follows) draw_if_due(kSecondsBetween);
}

void LiveReport::eval_done(const EvalDone& event) {
  run_.eval_done(event);
  effort_.tell();
  draw_if_due(0.0);
}

void LiveReport::run_finished(const RunFinished& event) {
  run_.run_finished(event);
  effort_.tell();
  if (event.end != RunEnd::interrupted) draw_if_due(0.0);
}

void LiveReport::complete(const RunSummary& summary) {
  is_complete_ = true;
  try_to_write_report(folder_, summary);
}

void LiveReport::draw_if_due(double seconds_since_last) {
  if (clock_() - last_drawn_ >= std::max(seconds_since_last, last_took_ / kMostShare)) draw(false);
}

void LiveReport::draw(bool is_stopped) {
  const double began = clock_();
  effort_.attempt([&] { write_file_atomically(folder_ / "report.html", html_report(page_(run_, is_stopped))); });
  last_drawn_ = clock_();
  last_took_ = last_drawn_ - began;
}

void try_to_write_report(const fs::path& folder, const RunSummary& summary) {
  try {
    write_report(folder, summary);
  } catch (const std::exception& error) {
    std::error_code ignored;  // of a report that says less; anything else of that name stays
    if (fs::is_regular_file(folder / "report.html", ignored)) fs::remove(folder / "report.html", ignored);
    log_warning("{}; the run is complete without it, and qad resume draws it", error.what());
  }
}

}  // namespace qad
