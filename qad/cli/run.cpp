#include "qad/verbs/run.h"

#include <fmt/format.h>

#include <iostream>

#include "qad/cli/command_line.h"
#include "qad/cli/verbs.h"
#include "qad/verbs/show.h"

namespace qad::cli {

ExitCode run_verb(CommandLine& line) {
  verbs::RunOptions options;
  bool profile = false;
  line.positional("RECIPE", "a recipe: a file, or a name from `qad recipes list`", options.recipe)
      .overrides(options.overrides)
      .required("out", "DIR", "the run's folder, new or empty", options.out)
      .option("profile", "", "at the end, a table of where the time of the steps went", profile);
  if (!line.parse()) return ExitCode::done;
  if (line.threads() > 0) options.overrides.push_back(fmt::format("threads={}", line.threads()));
  return verbs::with_profile(profile, std::cout, [&] { return verbs::run(options, std::cout); });
}

}  // namespace qad::cli
