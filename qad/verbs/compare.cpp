#include "qad/verbs/compare.h"

#include <optional>
#include <ostream>

#include "qad/run/compare_arms.h"
#include "qad/run/run_lock.h"
#include "qad/run/shared_run.h"
#include "qad/verbs/show.h"

namespace qad::verbs {

ExitCode compare(const CompareOptions& options, std::ostream& print) {
  const Recipe recipe = with_absolute_paths(load_recipe_to_run(options.recipe, options.overrides));
  if (!recipe.row().is_comparison)
    throw Error(
        {options.recipe.string(), "kind: compare", "kind: " + std::string(enum_name(recipe.kind)), "use qad run"},
        ExitCode::usage);
  check_one_run(recipe, options.out);
  set_threads_of_rank(recipe.threads);
  std::optional<RunLock> lock;
  first_does([&] {
    check_new_run_folder(options.out);  // before a lock is put there
    lock.emplace(options.out);
  });
  const auto work = [&](const RunFolder& folder) {
    begin_log(folder);
    Materials materials = load_materials(recipe, folder);
    return compare_arms(recipe, folder, materials);
  };
  return show_run_of(
      {options.out}, [&] { return in_new_run_folder(options.out, recipe, work); }, print);
}

}  // namespace qad::verbs
