#include "autograd/base/terminal.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace qad {
namespace {

// Empty when it is not set.
std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

bool stderr_redraws() {
  const std::string_view term = variable("TERM");
  return ::isatty(STDERR_FILENO) == 1 && !term.empty() && term != "dumb";
}

bool stderr_takes_escapes() {
  if (!variable("NO_COLOR").empty()) return false;
  if (const std::string_view force = variable("CLICOLOR_FORCE"); !force.empty() && force != "0") return true;
  return stderr_redraws() && variable("CLICOLOR") != "0";
}

}  // namespace qad
