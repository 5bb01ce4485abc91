#include "qad/verbs/run_folder.h"

#include <algorithm>
#include <vector>

#include "autograd/core/atomic_file.h"
#include "autograd/core/error.h"

namespace qad::verbs {
namespace fs = std::filesystem;
namespace {

void take_back(const RunFolder& folder, bool was_there) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder.path, ignored)) {
    const bool is_empty_folder = entry.is_directory() && fs::is_empty(entry.path(), ignored);
    if (entry.path() != folder.recipe() && entry.path() != folder.log() && !is_empty_folder) return;
  }
  for (const fs::path& path : {folder.recipe(), folder.log(), folder.path / "arms"}) fs::remove(path, ignored);
  if (!was_there) fs::remove(folder.path, ignored);
}

// What a start leaves that was killed while it wrote the recipe.
bool is_leftover(const fs::path& file) { return file.filename().string().starts_with("recipe.yaml.tmp."); }

void remove_leftovers(const fs::path& folder) {
  const std::vector<fs::path> files(fs::directory_iterator(folder), fs::directory_iterator{});
  if (!std::ranges::all_of(files, is_leftover)) return;
  for (const fs::path& file : files) fs::remove(file);
}

}  // namespace

fs::path RunFolder::teacher_text(const std::string& use) const {
  const std::string name = "teacher_text_" + use + ".h5";
  const fs::path arms = fs::weakly_canonical(path).parent_path();
  const fs::path shared = arms.parent_path() / name;
  return arms.filename() == "arms" && fs::exists(shared) ? shared : path / name;
}

RunFolder create_run_folder(const fs::path& path, const Recipe& recipe) {
  const RunFolder folder{path};
  if (fs::exists(path) && !fs::is_directory(path))
    throw Error({path.string(), "a new or empty folder", "a file", "choose another --out"}, ExitCode::usage);
  if (fs::is_directory(path)) remove_leftovers(path);
  if (fs::is_directory(path) && !fs::is_empty(path))
    throw Error({path.string(), "a new or empty folder",
                 is_run_folder(path) ? "a folder with a run" : "a folder that holds something",
                 is_run_folder(path) ? "qad resume goes on with it" : "choose another --out"},
                ExitCode::usage);
  write_file_atomically(folder.recipe(), recipe_text(recipe));
  return folder;
}

RunSummary in_new_run_folder(const fs::path& path, const Recipe& recipe,
                             const std::function<RunSummary(const RunFolder&)>& work) {
  const bool was_there = fs::exists(path);
  const RunFolder folder = create_run_folder(path, recipe);
  try {
    return work(folder);
  } catch (const std::exception& failure) {
    const auto* error = dynamic_cast<const Error*>(&failure);
    if (error == nullptr || error->code() != ExitCode::interrupted) take_back(folder, was_there);
    throw;
  }
}

bool is_run_folder(const fs::path& path) { return fs::is_regular_file(path / "recipe.yaml"); }

RunFolder open_run_folder(const fs::path& path) {
  if (!is_run_folder(path))
    throw Error({path.string(), "a run's folder (with recipe.yaml)", fs::exists(path) ? "none" : "nothing there", ""},
                ExitCode::usage);
  return {path};
}

Recipe read_recipe(const RunFolder& folder) {
  return parse_recipe(read_file(folder.recipe(), "a run's recipe"), folder.recipe().string());
}

}  // namespace qad::verbs
