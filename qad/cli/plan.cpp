#include "qad/verbs/plan.h"

#include <fmt/format.h>

#include <iostream>

#include "autograd/base/interrupt.h"
#include "qad/cli/command_line.h"
#include "qad/cli/verbs.h"

namespace qad::cli {

ExitCode plan_verb(CommandLine& line) {
  verbs::PlanOptions options;
  line.positional("RECIPE", "a recipe: a file, or a name from `qad recipes list`", options.recipe)
      .overrides(options.overrides)
      .option("ranks", "N", "what each of so many ranks (mpirun) holds, and sends in a step", options.ranks)
      .option("json", "", "print one JSON object instead of the tables (bytes, seconds; names as in summary.json)",
              options.json);
  if (!line.parse()) return ExitCode::done;
  leave_when_stopped();
  if (line.threads() > 0) options.overrides.push_back(fmt::format("threads={}", line.threads()));
  return verbs::plan(options, std::cout);
}

}  // namespace qad::cli
