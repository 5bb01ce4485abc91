#include "qad/verbs/resume.h"

#include <iostream>

#include "qad/cli/command_line.h"
#include "qad/cli/verbs.h"

namespace qad::cli {

ExitCode resume_verb(const Verb& self, Arguments arguments) {
  verbs::ResumeOptions options;
  CommandLine line(self.name, self.summary, std::move(arguments));
  line.positional("DIR", "the folder of a run or a comparison", options.run);
  if (!line.parse()) return ExitCode::done;
  options.threads = line.threads();
  return verbs::resume(options, std::cout);
}

}  // namespace qad::cli
