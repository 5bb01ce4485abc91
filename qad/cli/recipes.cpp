#include "qad/verbs/recipes.h"

#include <iostream>

#include "autograd/base/interrupt.h"
#include "qad/cli/command_line.h"
#include "qad/cli/verbs.h"

namespace qad::cli {

ExitCode recipes_verb(CommandLine& line) {
  verbs::RecipesOptions options;
  line.optional("list|show|explain|check", "what to do (default: list)", options.action)
      .rest("RECIPE", "show RECIPE [key.path=value ...]; explain [KEY]; check [RECIPE ...], default all",
            options.arguments)
      .option("json", "", "list: print one JSON array of {name, kind, title, file}; kind is null for a part to import",
              options.json);
  if (!line.parse()) return ExitCode::done;
  leave_when_stopped();
  return verbs::recipes(options, std::cout);
}

}  // namespace qad::cli
