// A comparison while its arms run: its report, and how long all of them still take.
#pragma once

#include <string>
#include <vector>

#include "qad/recipe/recipe.h"
#include "qad/report/comparison_clock.h"
#include "qad/report/live_report.h"
#include "qad/run/run_folder.h"
#include "qad/run/run_one.h"

namespace qad {

class LiveComparison {
 public:
  /// `total` has the rows of the arms that are complete; it must outlive this.
  LiveComparison(const std::vector<Arm>& arms, const RunFolder& folder, const RunSummary& total);

  void begin() { clock_.begin_run(); }
  void end(const ArmRun& run, const RunSummary& summary);
  /// An arm has its row in `total`.
  void arm_done() { runs_of_arm_.clear(); }
  void complete(const RunSummary& summary) { report_.complete(summary); }
  [[nodiscard]] AroundRun around();

 private:
  [[nodiscard]] Report page(const RunSoFar& run, bool is_stopped) const;

  RunFolder folder_;
  const RunSummary& total_;
  std::vector<ArmSummary> runs_of_arm_;  ///< complete ones of an arm that is not
  ComparisonClock clock_;
  LiveReport report_;
  RunListeners listeners_;
};

}  // namespace qad
