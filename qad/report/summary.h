// summary.json: what a finished run or comparison was and how it came out. report.html is drawn from it.
//
//     {"kind", "version", "machine", "teacher", "student", "steps", "tokens", "seconds", "peak_rss_bytes",
//      "parameters", "bits_per_weight", "end", "best_step", "skipped_steps", "eval": {…},
//      "problems": {"arithmetic": {…}, …, "mean": {…}},
//      "exports": [{"format", "folder", "bytes", "eval"}],
//      "arms": [{"name", "kind", "folders", "steps", "tokens", "seconds", "bits_per_weight", "eval", "problems"}]}
//
// "arms" is there for a comparison only; "folders" has one run for each seed, and the rest is their mean. Folders are
// relative to the file. What was not measured is left out.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "qad/report/problem_table.h"
#include "qad/report/table.h"
#include "qad/train/events.h"
#include "qad/train/problem_figures.h"

namespace qad {

struct ExportSummary {
  std::string format;  ///< modelopt, compressed_tensors, dense, gguf
  std::string folder;
  std::int64_t bytes = 0;
  EvalFigures eval;  ///< measured again from the exported bytes
};

/// A row of a comparison: the teacher itself ("bf16"), or a run of its own.
struct ArmSummary {
  std::string name;
  std::string kind;
  std::vector<std::string> folders;  ///< of the arm's runs, which differ in their seeds; empty when it has none
  std::int64_t steps = 0;
  std::int64_t tokens = 0;
  double seconds = 0.0;
  double bits_per_weight = EvalFigures::kNone;
  EvalFigures eval;
  ProblemResults problems{};
};

struct RunSummary {
  std::string kind;  ///< of the recipe
  std::string version;
  std::string machine;
  std::string teacher;
  std::string student;
  std::int64_t steps = 0;
  std::int64_t tokens = 0;
  double seconds = 0.0;
  std::int64_t peak_rss_bytes = 0;
  std::int64_t parameters = 0;
  double bits_per_weight = EvalFigures::kNone;
  std::string end;  ///< planned_steps, early_stop, interrupted
  std::int64_t best_step = 0;
  std::int64_t skipped_steps = 0;
  EvalFigures eval;
  ProblemResults problems{};
  std::vector<ExportSummary> exports;
  std::vector<ArmSummary> arms;
};

/// All but version, exports and arms; peak memory and machine are those of now.
[[nodiscard]] RunSummary summary_of(const RunStarted& started, const RunFinished& finished);
/// Runs that differ in their seeds as a row of a comparison that keeps them in `folders`: figures on held-out text are
/// means over the runs; those of problems are left to be filled in from the answers where there are several.
[[nodiscard]] ArmSummary arm_of(const std::vector<RunSummary>& runs, std::string name,
                                std::vector<std::string> folders);

/// The rows of a comparison; a single run is its own.
[[nodiscard]] std::vector<ArmSummary> rows_of(const RunSummary& summary);

void write_summary(const std::filesystem::path& file, const RunSummary& summary);
[[nodiscard]] RunSummary read_summary(const std::filesystem::path& file);

/// Quality of each arm; with an arm of kind ptq, also how much of its KL to the teacher the others won back.
[[nodiscard]] Table comparison_table(const std::vector<ArmSummary>& arms);
/// The arms' rows of problem_table.
[[nodiscard]] std::vector<ProblemRow> problem_rows(const std::vector<ArmSummary>& arms);

}  // namespace qad
