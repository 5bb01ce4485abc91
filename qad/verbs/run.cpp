#include "qad/verbs/run.h"

#include <optional>
#include <ostream>

#include "autograd/base/error.h"
#include "qad/run/run_lock.h"
#include "qad/run/run_one.h"
#include "qad/run/shared_run.h"
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
  check_one_run(recipe, options.out);
  set_threads_of_rank(recipe.threads);
  std::optional<RunLock> lock;
  first_does([&] {
    check_new_run_folder(options.out);  // before a lock is put there
    lock.emplace(options.out);
  });
  const auto work = [&](const RunFolder& folder) {
    begin_log(folder);
    if (recipe.stream) return stream_run(recipe, folder, std::string(enum_name(recipe.kind)));
    const Materials materials = load_materials(recipe, folder);
    return run_one(recipe, materials, folder, std::string(enum_name(recipe.kind)));
  };
  return show_run_of(
      {options.out}, [&] { return in_new_run_folder(options.out, recipe, work); }, print);
}

}  // namespace qad::verbs
