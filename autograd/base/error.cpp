#include "autograd/base/error.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace qad {
namespace {

// A name with a line end or a terminal's escape in it stays on its line. What was got may be a list of lines.
std::string on_one_line(std::string_view text, bool may_be_lines = false) {
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n' && !may_be_lines) shown += "\\n";
    else if ((byte < 0x20 && c != '\n') || byte == 0x7f) shown += fmt::format("\\x{:02x}", byte);
    else shown += c;
  }
  return shown;
}

std::string message(const Problem& problem) {
  std::string text = on_one_line(problem.who);
  if (!problem.expected.empty())
    text += ": expected " + on_one_line(problem.expected) + (problem.got.empty() ? "" : ", got ");
  else if (!problem.got.empty() && !text.empty()) text += ": ";
  text += on_one_line(problem.got, true);
  if (!problem.hint.empty()) text += " (" + on_one_line(problem.hint) + ")";
  return text;
}

}  // namespace

Error::Error(const Problem& problem, ExitCode code) : std::runtime_error(message(problem)), code_(code) {}

ExitCode exit_code_of(int error_number) {
  return error_number == ENOENT || error_number == ENOTDIR ? ExitCode::usage : ExitCode::failed;
}

void assertion_failed(std::string_view condition, std::string_view file, int line) {
  std::fprintf(stderr, "%.*s:%d: a bug in qad: '%.*s' does not hold\n", static_cast<int>(file.size()), file.data(),
               line, static_cast<int>(condition.size()), condition.data());
  std::abort();
}

}  // namespace qad
