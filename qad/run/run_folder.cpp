#include "qad/run/run_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <random>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "autograd/base/output_folder.h"
#include "autograd/base/place.h"
#include "autograd/ranks/communicator.h"
#include "data/files/hash.h"
#include "qad/run/shared_run.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

void take_back(const RunFolder& folder, bool was_there) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder.path, ignored)) {
    const bool is_empty_folder = entry.is_directory() && fs::is_empty(entry.path(), ignored);
    const bool is_ours = entry.path() == folder.recipe() || entry.path() == folder.log() ||
                         entry.path() == folder.calibration() || entry.path() == folder.search();
    const bool is_lock = entry.path().filename() == kLockFile;
    if (!is_ours && !is_lock && !is_empty_folder && entry.path() != folder.logs_of_ranks()) return;
  }
  fs::remove_all(folder.logs_of_ranks(), ignored);
  for (const fs::path& path :
       {folder.recipe(), folder.log(), folder.calibration(), folder.search(), folder.path / "arms"})
    fs::remove(path, ignored);
  if (!was_there) fs::remove(folder.path, ignored);
}

// The line that no other run has; empty in folders of older programs.
std::string first_line(const RunFolder& folder) {
  const std::string text = read_file(folder.recipe(), "a run's recipe");
  return text.starts_with("# run ") ? text.substr(0, text.find('\n') + 1) : "";
}

bool has_checkpoints(const RunFolder& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder.checkpoints(), ignored))
    if (entry.path().extension() == ".h5") return true;
  return false;
}

// What a process that was killed left half written.
bool is_leftover(const std::string& name) {
  static constexpr auto kTargets = std::to_array<const char*>(
      {"recipe.yaml", "quantize.yaml", "metrics.jsonl", "summary.json", "answers.jsonl", "report.html", kEventFile,
       "teacher_text_train.h5", "teacher_text_eval.h5", "teacher_text_calibrate.h5"});
  return std::ranges::any_of(kTargets, [&](const char* target) { return is_temporary_of(target, name); });
}

}  // namespace

fs::path RunFolder::teacher_text(const std::string& use) const {
  const std::string name = "teacher_text_" + use + ".h5";
  const fs::path arms = fs::weakly_canonical(path).parent_path();
  const fs::path shared = arms.parent_path() / name;
  return arms.filename() == "arms" && fs::exists(shared) ? shared : path / name;
}

void check_new_run_folder(const fs::path& path) {
  const Place there = place_at(path);
  if (there == Place::nothing || there == Place::hidden) return;  // whoever makes it says why it can't be made
  if (there != Place::folder)
    throw Error({.who = path.string(),
                 .expected = "a new or empty folder",
                 .got = what_is_at(path),
                 .hint = "choose another --out"},
                ExitCode::usage);
  if (holds_nothing(path, is_leftover)) return;
  throw Error({.who = path.string(),
               .expected = "a new or empty folder",
               .got = is_run_folder(path) ? "a folder with a run" : "a folder that holds something",
               .hint = is_run_folder(path) ? "qad resume goes on with it" : "choose another --out"},
              ExitCode::usage);
}

void remove_leftovers(const RunFolder& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder.path, ignored))
    if (is_leftover(entry.path().filename().string())) fs::remove(entry.path(), ignored);
}

RunFolder create_run_folder(const fs::path& path, const Recipe& recipe) {
  check_new_run_folder(path);
  const RunFolder folder{path};
  remove_leftovers(folder);
  std::random_device entropy;  // so that no two runs have the same recipe.yaml, and each knows its exports
  write_file_atomically(folder.recipe(),
                        fmt::format("# run {:08x}{:08x}\n{}", entropy(), entropy(), recipe_text(recipe)));
  return folder;
}

void rewrite_recipe(const RunFolder& folder, const Recipe& recipe) {
  write_file_atomically(folder.recipe(), first_line(folder) + recipe_text(recipe));
}

std::string run_id(const RunFolder& folder) {
  const std::string line = first_line(folder);
  return hex(hash128(line.empty() ? read_file(folder.recipe(), "a run's recipe") : line));
}

RunSummary in_new_run_folder(const fs::path& path, const Recipe& recipe,
                             const std::function<RunSummary(const RunFolder&)>& work) {
  const bool was_there = place_at(path) != Place::nothing;
  const RunFolder folder{path};
  first_does([&] { static_cast<void>(create_run_folder(path, recipe)); });
  try {
    check_shared_folder(folder.recipe());
    return work(folder);
  } catch (const std::exception& failure) {
    const auto* error = dynamic_cast<const Error*>(&failure);
    const bool is_to_go = error == nullptr || error->code() != ExitCode::interrupted;
    if (is_to_go && ranks().is_first()) take_back(folder, was_there);
    throw;
  }
}

void begin_log(const RunFolder& folder) {
  if (ranks().is_first()) return log_to_file(folder.log());
  fs::create_directories(folder.logs_of_ranks());
  log_to_file(folder.logs_of_ranks() / fmt::format("rank-{}.txt", ranks().rank()));
}

RunFolder open_run_folder(const fs::path& path) {
  if (!is_run_folder(path))
    throw Error({.who = path.string(),
                 .expected = "a run's folder (with recipe.yaml)",
                 .got = place_at(path) == Place::folder ? "none" : what_is_at(path)},
                ExitCode::usage);
  return {path};
}

Recipe read_recipe(const RunFolder& folder) {
  std::error_code ignored;
  if (!fs::exists(folder.quantize(), ignored)) {
    Recipe given = read_given_recipe(folder);
    if (given.row().searches && has_checkpoints(folder))
      throw Error({.who = folder.quantize().string(),
                   .expected = "what the run's search found",
                   .got = "nothing there",
                   .hint = "qad resume makes it again from a whole checkpoint"});
    return given;
  }
  return parse_recipe(read_file(folder.recipe(), "a run's recipe"), folder.recipe().string(),
                      read_file(folder.quantize(), "what a search found"), folder.quantize().string());
}

Recipe read_given_recipe(const RunFolder& folder) {
  return parse_recipe(read_file(folder.recipe(), "a run's recipe"), folder.recipe().string());
}

}  // namespace qad
