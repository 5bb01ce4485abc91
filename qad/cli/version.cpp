#include "autograd/base/version.h"

#include <iostream>

#include "qad/cli/verbs.h"

namespace qad::cli {

ExitCode version_verb(CommandLine& line) {
  if (line.parse()) std::cout << "qad " << kVersion << "\n";
  return ExitCode::done;
}

}  // namespace qad::cli
