#include "qad/verbs/inspect.h"

#include <iostream>

#include "autograd/core/interrupt.h"
#include "qad/cli/command_line.h"
#include "qad/cli/verbs.h"

namespace qad::cli {

ExitCode inspect_verb(const Verb& self, Arguments arguments) {
  verbs::InspectOptions options;
  CommandLine line(self.name, self.summary, std::move(arguments));
  line.positional("FILE", "a checkpoint, a .safetensors or .gguf file, a folder of a model or a run, or a recipe",
                  options.file);
  if (!line.parse()) return ExitCode::done;
  leave_when_stopped();
  return verbs::inspect(options, std::cout);
}

}  // namespace qad::cli
