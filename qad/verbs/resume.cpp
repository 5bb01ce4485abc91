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
  const auto work = [&] {
    if (recipe.kind == RecipeKind::compare) return compare_arms(recipe, folder);
    if (std::filesystem::exists(folder.summary())) {
      print << folder.path.string() << " is complete already\n";
      return read_summary(folder.summary());
    }
    const Materials materials = load_materials(recipe, folder);
    return run_one(recipe, materials, folder, std::string(enum_name(recipe.kind)));
  };
  return show_run_of(folder, work, print);
}

}  // namespace qad::verbs
