// summary.json: what a finished run or comparison was and how it came out. report.html is drawn from it.
//
//     {"kind", "version", "machine", "teacher", "student", "steps", "tokens", "seconds", "peak_rss_bytes",
//      "parameters", "bits_per_weight", "end", "reason", "best_step", "skipped_steps", "before": {…}, "eval": {…},
//      "problems": {"arithmetic": {…}, …, "mean": {…}},
//      "exports": [{"format", "folder", "bytes", "eval"}],
//      "searched": [{"group", "weights", "chosen", "options": [{"formats", "bits", "score"}]}],
//      "search_curve": [{"budget", "bits", "score", "kl", "kl_stderr"}],
//      "arms": [{"name", "kind", "folders", "steps", "tokens", "seconds", "bits_per_weight", "end", "reason",
//                "best_step", "before", "eval", "problems",
//                "candidates": [{"name", "lr", "folders", "end", "reason", "best_step", "eval"}]}]}
//
// "before" has the student's figures before its first step; a "best_step" of 0 says that no later one was better.
// "arms" is there for a comparison only; "folders" has one run for each seed, and the rest is their mean ("best_step":
// the least of them). "candidates" are the learning rates that an arm tried, the best of which it shows. Folders are
// relative to the file. What was not measured is left out.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "qad/train/events.h"
#include "qad/train/problem_figures.h"

namespace qad {

struct ExportSummary {
  std::string format;  ///< modelopt, compressed_tensors, dense, gguf
  std::string folder;
  std::int64_t bytes = 0;
  EvalFigures eval{};  ///< measured again from the exported bytes

  static void visit_fields(auto& self, auto&& visit) {
    visit("format", self.format), visit("folder", self.folder), visit("bytes", self.bytes), visit("eval", self.eval);
  }
};

/// A learning rate that an arm tried.
struct CandidateSummary {
  std::string name;
  double lr = EvalFigures::kNone;
  std::vector<std::string> folders{};
  std::string end{};
  std::string reason{};
  std::int64_t best_step = 0;
  EvalFigures eval{};

  static void visit_fields(auto& self, auto&& visit) {
    visit("name", self.name), visit("lr", self.lr), visit("folders", self.folders), visit("end", self.end);
    visit("reason", self.reason), visit("best_step", self.best_step), visit("eval", self.eval);
  }
};

/// What a group of layers may be in, and what that costs.
struct SearchOptionSummary {
  std::string formats;
  double bits = 0;   ///< a weight
  double score = 0;  ///< in KL, nats a token

  static void visit_fields(auto& self, auto&& visit) {
    visit("formats", self.formats), visit("bits", self.bits), visit("score", self.score);
  }
};
struct SearchGroupSummary {
  std::string group;
  std::int64_t weights = 0;
  std::string chosen;
  std::vector<SearchOptionSummary> options{};

  static void visit_fields(auto& self, auto&& visit) {
    visit("group", self.group), visit("weights", self.weights), visit("chosen", self.chosen);
    visit("options", self.options);
  }
};
/// A budget and what was chosen for it: the recipe's own first, then those of search.curve.
struct SearchPointSummary {
  double budget = 0;
  double bits = 0;                                                 ///< a weight
  double score = 0;                                                ///< the sum of those of its groups
  double kl = EvalFigures::kNone, kl_stderr = EvalFigures::kNone;  ///< held-out, all groups together

  static void visit_fields(auto& self, auto&& visit) {
    visit("budget", self.budget), visit("bits", self.bits), visit("score", self.score);
    visit("kl", self.kl), visit("kl_stderr", self.kl_stderr);
  }
};

/// A row of a comparison: the teacher itself ("bf16"), or a run of its own.
struct ArmSummary {
  std::string name;
  std::string kind;
  std::vector<std::string> folders{};  ///< of the arm's runs, which differ in their seeds; empty when it has none
  std::int64_t steps = 0;
  std::int64_t tokens = 0;
  double seconds = 0.0;
  double bits_per_weight = EvalFigures::kNone;
  std::string end{};
  std::string reason{};  ///< why it diverged
  std::int64_t best_step = 0;
  EvalFigures before{}, eval{};
  ProblemResults problems{};
  std::vector<CandidateSummary> candidates{};  ///< where several were tried

  static void visit_fields(auto& self, auto&& visit) {
    visit("name", self.name), visit("kind", self.kind), visit("folders", self.folders), visit("steps", self.steps);
    visit("tokens", self.tokens), visit("seconds", self.seconds), visit("bits_per_weight", self.bits_per_weight);
    visit("end", self.end), visit("reason", self.reason), visit("best_step", self.best_step);
    visit("before", self.before), visit("eval", self.eval), visit("problems", self.problems);
    visit("candidates", self.candidates);
  }
};

struct RunSummary {
  std::string kind{};  ///< of the recipe
  std::string version{};
  std::string machine{};
  std::string teacher{};
  std::string student{};
  std::int64_t steps = 0;
  std::int64_t tokens = 0;
  double seconds = 0.0;
  std::int64_t peak_rss_bytes = 0;
  std::int64_t parameters = 0;
  double bits_per_weight = EvalFigures::kNone;
  std::string end{};     ///< a RunEnd
  std::string reason{};  ///< why it diverged
  std::int64_t best_step = 0;
  std::int64_t skipped_steps = 0;
  EvalFigures before{}, eval{};
  ProblemResults problems{};
  std::vector<ExportSummary> exports{};
  std::vector<SearchGroupSummary> searched{};
  std::vector<SearchPointSummary> search_curve{};
  std::vector<ArmSummary> arms{};

  static void visit_fields(auto& self, auto&& visit) {
    visit("kind", self.kind), visit("version", self.version), visit("machine", self.machine);
    visit("teacher", self.teacher), visit("student", self.student), visit("steps", self.steps);
    visit("tokens", self.tokens), visit("seconds", self.seconds), visit("peak_rss_bytes", self.peak_rss_bytes);
    visit("parameters", self.parameters), visit("bits_per_weight", self.bits_per_weight), visit("end", self.end);
    visit("reason", self.reason), visit("best_step", self.best_step), visit("skipped_steps", self.skipped_steps);
    visit("before", self.before), visit("eval", self.eval), visit("problems", self.problems);
    visit("exports", self.exports), visit("searched", self.searched), visit("search_curve", self.search_curve);
    visit("arms", self.arms);
  }
};

/// The `end` of a run that goes on, in its report; no file has it.
inline constexpr const char* kStillRunning = "running";

/// All but version, exports and arms; peak memory and machine are those of now.
[[nodiscard]] RunSummary summary_of(const RunStarted& started, const RunFinished& finished);
/// Runs that differ in their seeds as a row of a comparison that keeps them in `folders`: figures on held-out text are
/// means over the runs; those of problems are left to be filled in from the answers where there are several.
[[nodiscard]] ArmSummary arm_of(const std::vector<RunSummary>& runs, std::string name,
                                std::vector<std::string> folders);

/// The rows of a comparison; a single run is its own.
[[nodiscard]] std::vector<ArmSummary> rows_of(const RunSummary& summary);

/// Whether a run has come to its end.
[[nodiscard]] bool has_ended(const ArmSummary& arm);
/// Whether steps were taken to the end and none of them gave a better student than the one before training.
[[nodiscard]] bool did_not_help(const ArmSummary& arm);

void write_summary(const std::filesystem::path& file, const RunSummary& summary);
[[nodiscard]] RunSummary read_summary(const std::filesystem::path& file);

}  // namespace qad
