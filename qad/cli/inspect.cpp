#include "qad/verbs/inspect.h"

#include <iostream>

#include "autograd/base/interrupt.h"
#include "qad/cli/command_line.h"
#include "qad/cli/verbs.h"

namespace qad::cli {

ExitCode inspect_verb(CommandLine& line) {
  verbs::InspectOptions options;
  line.positional("FILE|RECIPE",
                  "a checkpoint, a .safetensors or .gguf file, a folder of a model or a run, or a recipe (a name from "
                  "`qad recipes list` too)",
                  options.file)
      .option("json", "",
              "print one JSON object instead of the tables, each tensor by itself; of a run: summary.json "
              "and the state of its files",
              options.json);
  if (!line.parse()) return ExitCode::done;
  leave_when_stopped();
  return verbs::inspect(options, std::cout);
}

}  // namespace qad::cli
