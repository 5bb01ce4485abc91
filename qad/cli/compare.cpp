#include "qad/verbs/compare.h"

#include <fmt/format.h>

#include <iostream>

#include "qad/cli/command_line.h"
#include "qad/cli/verbs.h"

namespace qad::cli {

ExitCode compare_verb(CommandLine& line) {
  verbs::CompareOptions options;
  line.positional("RECIPE", "a recipe of kind compare: a file, or a name from `qad recipes list`", options.recipe)
      .overrides(options.overrides)
      .required("out", "DIR", "the comparison's folder, new or empty", options.out);
  if (!line.parse()) return ExitCode::done;
  if (line.threads() > 0) options.overrides.push_back(fmt::format("threads={}", line.threads()));
  return verbs::compare(options, std::cout);
}

}  // namespace qad::cli
