#include "qad/verbs/run.h"

#include <ostream>

#include "autograd/base/error.h"
#include "qad/run/run_one.h"
#include "qad/run/stream_run.h"
#include "qad/verbs/show.h"

namespace qad::verbs {

ExitCode run(const RunOptions& options, std::ostream& print) {
  const Recipe recipe = with_absolute_paths(load_recipe_to_run(options.recipe, options.overrides));
  if (recipe.row().is_comparison)
    throw Error({.who = options.recipe.string(),
                 .expected = "a recipe of one run",
                 .got = "kind: compare",
                 .hint = "use qad compare"},
                ExitCode::usage);
  const auto work = [&](const RunFolder& folder) {
    if (recipe.stream) return stream_run(recipe, folder, std::string(enum_name(recipe.kind)));
    const Materials materials = load_materials(recipe, folder);
    return run_one(recipe, materials, folder, std::string(enum_name(recipe.kind)));
  };
  return show_new_run(recipe, options.out, work, print);
}

}  // namespace qad::verbs
