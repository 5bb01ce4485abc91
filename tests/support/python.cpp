#include "tests/support/python.h"

#include <cstdlib>

namespace qad::testing {

Outcome run_python(const Arguments& arguments) {
  const char* const chosen = std::getenv("QAD_PYTHON");
  return Process(arguments, {}, chosen != nullptr ? chosen : "/usr/bin/python3").wait();
}

std::string missing_python(const std::string& modules) {
  const Outcome outcome = run_python({"-c", "import " + modules});
  return outcome.exit_code == 0 ? "" : "no Python that imports " + modules + " (" + outcome.err + ")";
}

}  // namespace qad::testing
