#include "qad/verbs/resume.h"

#include <optional>
#include <ostream>

#include "qad/run/change_run.h"
#include "qad/run/compare_arms.h"
#include "qad/run/complete_run.h"
#include "qad/run/run_lock.h"
#include "qad/run/run_one.h"
#include "qad/run/search_run.h"
#include "qad/run/shared_run.h"
#include "qad/run/stream_run.h"
#include "qad/verbs/show.h"

namespace qad::verbs {

namespace {

RunSummary go_on(const ResumeOptions& options, const RunFolder& folder, std::ostream& print) {
  first_does([&] { bring_back_found(folder); });
  std::optional<RunChange> change;
  if (const Recipe given = read_given_recipe(folder); given.stream && !options.changes.empty())
    throw Error({.who = folder.path.string(),
                 .expected = "no changes to a run with stream: true",
                 .got = options.changes.front(),
                 .hint = "begin a new run"},
                ExitCode::usage);
  if (!options.changes.empty()) change.emplace(folder, options.changes);
  Recipe recipe = change ? change->recipe() : read_recipe(folder);
  check_one_run(recipe, folder.path);
  set_threads_of_rank(options.threads > 0 ? options.threads : recipe.threads);
  const std::string name(enum_name(recipe.kind));
  if (recipe.stream) return stream_run(recipe, folder, name);
  std::optional<Materials> materials;
  const auto loaded = [&]() -> Materials& {
    if (!materials) materials = load_materials(recipe, folder);
    return *materials;
  };
  if (change) {
    const RunInputs& inputs = loaded().inputs;
    first_does([&] { change->make(inputs); });
    recipe.quantize = read_recipe(folder).quantize;  // what a search found stays
  }
  if (recipe.row().is_comparison) return compare_arms(recipe, folder, loaded());
  if (!first_has(folder.summary())) return run_one(recipe, loaded(), folder, name);
  RunSummary summary = make_complete(recipe, folder, name, loaded);
  print << folder.path.string() << " is complete already\n";
  return summary;
}

}  // namespace

ExitCode resume(const ResumeOptions& options, std::ostream& print) {
  const RunFolder folder = open_run_folder(options.run);
  std::optional<RunLock> lock;
  first_does([&] {
    lock.emplace(folder.path);
    remove_leftovers(folder);
  });
  begin_log(folder);
  return show_run_of(
      folder, [&] { return go_on(options, folder, print); }, print);
}

}  // namespace qad::verbs
