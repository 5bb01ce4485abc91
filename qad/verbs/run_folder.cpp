#include "qad/verbs/run_folder.h"

#include "autograd/core/atomic_file.h"
#include "autograd/core/error.h"

namespace qad::verbs {
namespace fs = std::filesystem;

RunFolder create_run_folder(const fs::path& path, const Recipe& recipe) {
  const RunFolder folder{path};
  if (fs::exists(path) && !fs::is_directory(path))
    throw Error({path.string(), "a new or empty folder", "a file", "choose another --out"}, ExitCode::usage);
  if (fs::is_directory(path) && !fs::is_empty(path))
    throw Error({path.string(), "a new or empty folder",
                 is_run_folder(path) ? "a folder with a run" : "a folder that holds something",
                 is_run_folder(path) ? "qad resume goes on with it" : "choose another --out"},
                ExitCode::usage);
  write_file_atomically(folder.recipe(), recipe_text(recipe));
  return folder;
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
