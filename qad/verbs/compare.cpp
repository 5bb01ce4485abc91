#include "qad/verbs/compare.h"

#include <ostream>

#include "qad/run/compare_arms.h"
#include "qad/verbs/show.h"

namespace qad::verbs {

ExitCode compare(const CompareOptions& options, std::ostream& print) {
  const Recipe recipe = with_absolute_paths(load_recipe_to_run(options.recipe, options.overrides));
  if (!recipe.row().is_comparison)
    throw Error(
        {options.recipe.string(), "kind: compare", "kind: " + std::string(enum_name(recipe.kind)), "use qad run"},
        ExitCode::usage);
  const auto work = [&](const RunFolder& folder) {
    Materials materials = load_materials(recipe, folder);
    return compare_arms(recipe, folder, materials);
  };
  return show_new_run(recipe, options.out, work, print);
}

}  // namespace qad::verbs
