#include "qad/verbs/run.h"

#include <fmt/format.h>

#include <iostream>

#include "qad/cli/command_line.h"
#include "qad/cli/verbs.h"
#include "qad/verbs/show.h"

namespace qad::cli {

ExitCode run_verb(const Verb& self, Arguments arguments) {
  verbs::RunOptions options;
  bool profile = false;
  CommandLine line(self.name, self.summary, std::move(arguments));
  line.positional("RECIPE", "a recipe (qad recipes list shows those that come along)", options.recipe)
      .overrides(options.overrides)
      .required("out", "DIR", "the run's folder, new or empty", options.out)
      .option("profile", "", "at the end, a table of where the time of the steps went", profile);
  if (!line.parse()) return ExitCode::done;
  if (line.threads() > 0) options.overrides.push_back(fmt::format("threads={}", line.threads()));
  return verbs::with_profile(profile, std::cout, [&] { return verbs::run(options, std::cout); });
}

}  // namespace qad::cli
