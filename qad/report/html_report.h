// report.html: one page with the figures, curves and recipe of a run or a comparison, readable without a network. All
// of it comes from the run's folder, so the page can be drawn again at any time. While a run goes on, live_report.h
// draws it.
#pragma once

#include <filesystem>
#include <optional>
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

/// Of a run that has not come to its end.
struct ReportStatus {
  std::string word;  ///< "Still running"
  std::string text;
  bool reloads = false;  ///< the page loads itself again every kReloadSeconds
};
inline constexpr int kReloadSeconds = 30;

struct Report {
  std::string title;
  RunSummary run;
  std::vector<ReportArm> arms;  ///< of a comparison; of a single run itself
  std::string recipe;           ///< the resolved recipe's text
  std::optional<ReportStatus> status{};
};

/// Of a run in this folder: reads its metrics.jsonl and recipe.yaml; of a comparison each arm's metrics.jsonl.
[[nodiscard]] Report report_of(const std::filesystem::path& folder, const RunSummary& summary);
[[nodiscard]] std::string html_report(const Report& report);
/// Writes `folder`/report.html; before summary.json, so that a run with one has the report of the whole.
void write_report(const std::filesystem::path& folder, const RunSummary& summary);

}  // namespace qad
