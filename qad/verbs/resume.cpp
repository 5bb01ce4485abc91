#include "qad/verbs/resume.h"

#include <ostream>

#include "autograd/core/log.h"
#include "autograd/core/parallel.h"
#include "qad/verbs/compare_arms.h"
#include "qad/verbs/run_one.h"
#include "qad/verbs/show.h"

namespace qad::verbs {

ExitCode resume(const ResumeOptions& options, std::ostream& print) {
  const RunFolder folder = open_run_folder(options.run);
  const Recipe recipe = read_recipe(folder);
  set_threads(options.threads > 0 ? options.threads : static_cast<int>(recipe.threads));
  log_to_file(folder.log());
  if (recipe.kind == RecipeKind::compare) return show_run(folder, compare_arms(recipe, folder), print);
  if (std::filesystem::exists(folder.summary())) {
    const RunSummary summary = read_summary(folder.summary());
    print << folder.path.string() << " is complete already\n";
    return show_run(folder, summary, print);
  }
  const Materials materials = load_materials(recipe, folder);
  return show_run(folder, run_one(recipe, materials, folder, std::string(enum_name(recipe.kind))), print);
}

}  // namespace qad::verbs
