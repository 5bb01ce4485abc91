// `qad resume`: goes on with a run or a comparison from its newest whole checkpoint, bit for bit as if it had never
// stopped.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "autograd/base/error.h"

namespace qad::verbs {

struct ResumeOptions {
  std::filesystem::path run;           ///< the run's folder
  std::vector<std::string> changes{};  ///< key=value, see change_run.h
  int threads = 0;                     ///< 0: as its recipe says; the number changes no result
};

/// As `run`. A run that is complete already is told so and is done.
ExitCode resume(const ResumeOptions& options, std::ostream& print);

}  // namespace qad::verbs
