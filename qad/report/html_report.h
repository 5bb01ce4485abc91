// report.html: one page with the figures, curves and recipe of a run or a comparison, readable without a network. All
// of it comes from the run's folder, so the page can be drawn again at any time.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "qad/report/metrics_log.h"
#include "qad/report/summary.h"

namespace qad {

/// A row of the report's table and its curves.
struct ReportArm {
  ArmSummary summary;
  std::vector<MetricsRecord> metrics;  ///< empty for the teacher
};

struct Report {
  std::string title;
  RunSummary run;
  std::vector<ReportArm> arms;  ///< of a comparison; of a single run itself
  std::string recipe;           ///< the resolved recipe's text
};

/// Reads summary.json, metrics.jsonl and recipe.yaml of a run's folder; of a comparison each arm's metrics.jsonl.
[[nodiscard]] Report load_report(const std::filesystem::path& folder);
[[nodiscard]] std::string html_report(const Report& report);
/// Writes `folder`/report.html from what is in the folder.
void write_report(const std::filesystem::path& folder);

}  // namespace qad
