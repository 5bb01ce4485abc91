#include "qad/verbs/resume.h"

#include <optional>
#include <ostream>

#include "autograd/core/log.h"
#include "autograd/core/parallel.h"
#include "qad/verbs/compare_arms.h"
#include "qad/verbs/complete_run.h"
#include "qad/verbs/run_lock.h"
#include "qad/verbs/run_one.h"
#include "qad/verbs/show.h"

namespace qad::verbs {

ExitCode resume(const ResumeOptions& options, std::ostream& print) {
  const RunFolder folder = open_run_folder(options.run);
  const RunLock lock(folder.path);
  remove_leftovers(folder);
  const Recipe recipe = read_recipe(folder);
  set_threads(options.threads > 0 ? options.threads : static_cast<int>(recipe.threads));
  log_to_file(folder.log());
  const std::string name(enum_name(recipe.kind));
  std::optional<Materials> materials;
  const auto loaded = [&]() -> const Materials& {
    if (!materials) materials = load_materials(recipe, folder);
    return *materials;
  };
  const auto work = [&] {
    if (recipe.kind == RecipeKind::compare) return compare_arms(recipe, folder);
    if (std::filesystem::exists(folder.summary())) {
      const RunSummary summary = make_complete(recipe, folder, name, loaded);
      print << folder.path.string() << " is complete already\n";
      return summary;
    }
    return run_one(recipe, loaded(), folder, name);
  };
  return show_run_of(folder, work, print);
}

}  // namespace qad::verbs
