#include "qad/recipe/model_files.h"

#include <fmt/format.h>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "qad/recipe/recipe.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr int kMostRuns = 64;  // in a row, each starting from the one before

fs::path dense_export_of(const fs::path& run) {
  const fs::path folder = run / "export" / "dense";
  std::error_code ignored;
  if (fs::is_directory(folder, ignored)) return folder;
  throw Error({.who = run.string(),
               .expected = "a pretraining run with its dense export, for config.json and tokenizer",
               .got = "none",
               .hint = fmt::format("qad resume {} export=[dense]", run.string())},
              ExitCode::usage);
}

fs::path started_from(const fs::path& run) {
  const Recipe recipe = recipe_of_run(run);
  if (recipe.row().is_comparison)
    throw Error({.who = run.string(),
                 .expected = "the folder of one run",
                 .got = "a comparison",
                 .hint = "name one of its arms/ folders"},
                ExitCode::usage);
  if (recipe.row().start == Start::fresh) return dense_export_of(run);
  if (recipe.row().start == Start::merged) return recipe.merge->models.front().model;
  return recipe.student.model == "teacher" ? recipe.teacher->model : recipe.student.model;
}

}  // namespace

bool is_run_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path / "recipe.yaml", ignored) && !fs::exists(path / "config.json", ignored);
}

Recipe recipe_of_run(const fs::path& run) {
  const fs::path file = run / "recipe.yaml";
  return parse_recipe(read_file(file, "a run's recipe"), file.string());
}

fs::path model_files(const fs::path& model) {
  fs::path folder = model;
  for (int runs = 0; is_run_folder(folder); ++runs) {
    if (runs == kMostRuns)
      throw Error({.who = model.string(),
                   .expected = fmt::format("a run, or one that starts from it, at most {} in a row", kMostRuns),
                   .got = "more, or a circle",
                   .hint = "look at student.model in their recipe.yaml"},
                  ExitCode::usage);
    folder = started_from(folder);
  }
  return folder;
}

}  // namespace qad
