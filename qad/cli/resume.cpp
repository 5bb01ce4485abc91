#include "qad/verbs/resume.h"

#include <iostream>

#include "qad/cli/command_line.h"
#include "qad/cli/verbs.h"
#include "qad/verbs/show.h"

namespace qad::cli {

ExitCode resume_verb(CommandLine& line) {
  verbs::ResumeOptions options;
  bool profile = false;
  line.positional("DIR", "the folder of a run or a comparison", options.run)
      .overrides(options.changes)
      .option("profile", "", "at the end, a table of where the time of the steps from here on went", profile);
  if (!line.parse()) return ExitCode::done;
  options.threads = line.threads();
  return verbs::with_profile(profile, std::cout, [&] { return verbs::resume(options, std::cout); });
}

}  // namespace qad::cli
