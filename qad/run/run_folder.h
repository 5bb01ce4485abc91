// A run's folder: where things lie in it. Others read it, so these names are an interface (README.md).
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "qad/recipe/model_files.h"
#include "qad/recipe/recipe.h"
#include "qad/report/summary.h"
#include "qad/report/tensorboard_log.h"

namespace qad {

struct RunFolder {
  std::filesystem::path path;

  [[nodiscard]] std::filesystem::path recipe() const { return path / "recipe.yaml"; }
  [[nodiscard]] std::filesystem::path metrics() const { return path / "metrics.jsonl"; }
  [[nodiscard]] std::filesystem::path events() const { return path / kEventFile; }  ///< with report.tensorboard
  [[nodiscard]] std::filesystem::path summary() const { return path / "summary.json"; }
  /// What the model answered to evaluate.problems; of a comparison, the teacher.
  [[nodiscard]] std::filesystem::path answers() const { return path / "answers.jsonl"; }
  [[nodiscard]] std::filesystem::path report() const { return path / "report.html"; }
  [[nodiscard]] std::filesystem::path log() const { return path / "log.txt"; }
  [[nodiscard]] std::filesystem::path logs_of_ranks() const { return path / "logs"; }  ///< of all but the first
  [[nodiscard]] std::filesystem::path checkpoints() const { return path / "checkpoints"; }
  /// How far calibration has come, as long as there is no checkpoint.
  [[nodiscard]] std::filesystem::path calibration() const { return path / "calibration.h5"; }
  /// What a search has measured, and the section `quantize` that it found, which stands over that of the recipe.
  [[nodiscard]] std::filesystem::path search() const { return path / "search.h5"; }
  [[nodiscard]] std::filesystem::path quantize() const { return path / "quantize.yaml"; }
  [[nodiscard]] std::filesystem::path exported(const std::string& format) const { return path / "export" / format; }
  /// What the teacher wrote, as token ids, when a source asks for that. An arm's lies with its comparison.
  [[nodiscard]] std::filesystem::path teacher_text(const std::string& use) const;
  [[nodiscard]] std::filesystem::path arm(const std::string& name) const { return path / "arms" / name; }
};

/// Throws (usage) if the folder holds anything but what a killed start left half written.
void check_new_run_folder(const std::filesystem::path& path);
/// A new run's folder with its resolved recipe, whose paths are absolute, under a line that no other run's has. Throws
/// as check_new_run_folder.
[[nodiscard]] RunFolder create_run_folder(const std::filesystem::path& path, const Recipe& recipe);
/// Creates the folder and runs `work` in it, on all ranks. Should that fail before anything but the recipe and the log
/// is there, all is as before: put the mistake right and give the same command again. An interrupted run stays, to be
/// resumed.
RunSummary in_new_run_folder(const std::filesystem::path& path, const Recipe& recipe,
                             const std::function<RunSummary(const RunFolder&)>& work);
/// From now on log lines go into the folder as well.
void begin_log(const RunFolder& folder);
/// The folder of an earlier run, and its recipe. Throws if it is none.
[[nodiscard]] RunFolder open_run_folder(const std::filesystem::path& path);
/// Throws too if its checkpoints are of what a search found and that is gone.
[[nodiscard]] Recipe read_recipe(const RunFolder& folder);
/// The same as it was given: without what a search found.
[[nodiscard]] Recipe read_given_recipe(const RunFolder& folder);
/// Puts another recipe in the place of the run's; it stays the same run.
void rewrite_recipe(const RunFolder& folder, const Recipe& recipe);
/// By which exports know their run: from the first line of its recipe.yaml, wherever the folder is.
[[nodiscard]] std::string run_id(const RunFolder& folder);
/// What a killed process left half written; only who has the run's lock may call this.
void remove_leftovers(const RunFolder& folder);

}  // namespace qad
