#include "qad/run/live_comparison.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "qad/report/format.h"

namespace qad {
namespace {

std::vector<PlannedRun> planned_runs(const std::vector<Arm>& arms) {
  std::vector<PlannedRun> runs;
  for (const Arm& arm : arms)
    for (const ArmCandidate& candidate : arm.candidates)
      for (const ArmRun& run : candidate)
        runs.push_back({run.name, std::string(enum_name(arm.kind)),
                        about(arm.kind).steps == Steps::none ? 0 : run.recipe.train.steps,
                        run.recipe.train.batch_size});
  return runs;
}

ArmSummary row_of(const RunSummary& run, const std::string& name) { return arm_of({run}, name, {"arms/" + name}); }

}  // namespace

LiveComparison::LiveComparison(const std::vector<Arm>& arms, const RunFolder& folder, const RunSummary& total)
    : folder_(folder),
      total_(total),
      clock_(planned_runs(arms)),
      report_(folder.path, [this](const RunSoFar& run, bool is_stopped) { return page(run, is_stopped); }) {
  listeners_.add(clock_);
  listeners_.add(report_);
}

void LiveComparison::end(const ArmRun& run, const RunSummary& summary) {
  clock_.end_run(summary);
  runs_of_arm_.push_back(row_of(summary, run.name));
}

AroundRun LiveComparison::around() {
  return {&listeners_, [this] { return clock_.seconds_left(); }};
}

Report LiveComparison::page(const RunSoFar& run, bool is_stopped) const {
  RunSummary shown = total_;
  shown.arms.insert(shown.arms.end(), runs_of_arm_.begin(), runs_of_arm_.end());
  std::string progress = "between two runs";
  if (clock_.is_running()) {
    RunSummary now = run.summary();
    if (is_stopped) now.end = enum_name(RunEnd::interrupted);
    shown.machine = now.machine;
    shown.version = now.version;
    shown.parameters = now.parameters;
    shown.tokens += now.tokens;
    shown.seconds += now.seconds;
    shown.arms.push_back(row_of(now, run.name()));
    progress = fmt::format("{}, {}", run.name(), progress_text(run, is_stopped));
  }
  if (const double left = clock_.seconds_left(); !is_stopped && std::isfinite(left) && left > 0.0)
    progress += fmt::format("; all arms: about {} left", format_duration(left));
  if (const auto names = clock_.to_come(); !names.empty())
    progress += fmt::format("; still to come: {}", fmt::join(names, ", "));
  Report report = report_of(folder_.path, shown);
  report.status = status_of(progress, is_stopped);
  return report;
}

}  // namespace qad
