#include "autograd/core/error.h"

#include <cstdio>
#include <cstdlib>

namespace qad {
namespace {

std::string message(const Problem& problem) {
  std::string text = problem.who;
  if (!problem.expected.empty()) text += ": expected " + problem.expected + (problem.got.empty() ? "" : ", got ");
  else if (!problem.got.empty() && !text.empty()) text += ": ";
  text += problem.got;
  if (!problem.hint.empty()) text += " (" + problem.hint + ")";
  return text;
}

}  // namespace

Error::Error(const Problem& problem, ExitCode code) : std::runtime_error(message(problem)), code_(code) {}

void assertion_failed(std::string_view condition, std::string_view file, int line) {
  std::fprintf(stderr, "%.*s:%d: a bug in qad: '%.*s' does not hold\n", static_cast<int>(file.size()), file.data(),
               line, static_cast<int>(condition.size()), condition.data());
  std::abort();
}

}  // namespace qad
