// report.html while a run goes on: drawn when it starts, after evaluations and now and then, and marked as of a run
// that is still running; where the run stops before its end, as of one that qad resume goes on with. It costs the run
// less than a hundredth of its time, and can't make it fail. The report of a finished run is write_report's
// (html_report.h).
#pragma once

#include <filesystem>
#include <functional>

#include "qad/report/best_effort.h"
#include "qad/report/html_report.h"
#include "qad/report/run_so_far.h"

namespace qad {

/// `is_stopped`: nothing goes on any more.
[[nodiscard]] Report report_so_far(const std::filesystem::path& folder, const RunSoFar& run, bool is_stopped);
/// "step 120 of 400, about 1:23 left"; where it is stopped, the step alone.
[[nodiscard]] std::string progress_text(const RunSoFar& run, bool is_stopped);
/// What a page says of a run or a comparison; `progress`: how far it is.
[[nodiscard]] ReportStatus status_of(const std::string& progress, bool is_stopped);

/// Comes after MetricsLog among a run's listeners. Of a comparison, listens to all its runs.
class LiveReport final : public RunListener {
 public:
  using Page = std::function<Report(const RunSoFar& run, bool is_stopped)>;
  /// `page` empty: report_so_far of this folder.
  explicit LiveReport(std::filesystem::path folder, Page page = {}, RunSoFar::Clock clock = {});
  /// Draws a run that was not complete.
  ~LiveReport() override;
  LiveReport(const LiveReport&) = delete;
  LiveReport& operator=(const LiveReport&) = delete;

  void run_started(const RunStarted& event) override;
  void step_done(const StepDone& event) override;
  void eval_done(const EvalDone& event) override;
  void run_finished(const RunFinished& event) override;

  /// The report of the whole.
  void complete(const RunSummary& summary);

 private:
  void draw_if_due(double seconds_since_last);
  void draw(bool is_stopped);

  std::filesystem::path folder_;
  Page page_;
  RunSoFar::Clock clock_;
  RunSoFar run_;
  BestEffort effort_;
  double last_drawn_ = 0.0, last_took_ = 0.0;
  bool is_complete_ = false;
};

/// Writes the report of a finished run. Where that fails, a report of less is removed, and a warning says so: qad
/// resume draws it again.
void try_to_write_report(const std::filesystem::path& folder, const RunSummary& summary);

}  // namespace qad
