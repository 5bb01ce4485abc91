#include "qad/verbs/recipes.h"

#include <iostream>

#include "autograd/core/interrupt.h"
#include "qad/cli/command_line.h"
#include "qad/cli/verbs.h"

namespace qad::cli {

ExitCode recipes_verb(const Verb& self, Arguments arguments) {
  verbs::RecipesOptions options;
  CommandLine line(self.name, self.summary, std::move(arguments));
  line.rest("list|show|explain|check", "list; show FILE [key.path=value ...]; explain [KEY]; check [FILE ...]",
            options.arguments);
  if (!line.parse()) return ExitCode::done;
  leave_when_stopped();
  if (!options.arguments.empty()) {
    options.action = options.arguments.front();
    options.arguments.erase(options.arguments.begin());
  }
  return verbs::recipes(options, std::cout);
}

}  // namespace qad::cli
