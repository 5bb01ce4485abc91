#include "qad/verbs/plan.h"

#include <fmt/format.h>

#include <iostream>

#include "autograd/core/interrupt.h"
#include "qad/cli/command_line.h"
#include "qad/cli/verbs.h"

namespace qad::cli {

ExitCode plan_verb(const Verb& self, Arguments arguments) {
  verbs::PlanOptions options;
  CommandLine line(self.name, self.summary, std::move(arguments));
  line.positional("RECIPE", "a recipe", options.recipe).overrides(options.overrides);
  if (!line.parse()) return ExitCode::done;
  leave_when_stopped();
  if (line.threads() > 0) options.overrides.push_back(fmt::format("threads={}", line.threads()));
  return verbs::plan(options, std::cout);
}

}  // namespace qad::cli
