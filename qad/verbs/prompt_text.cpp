#include "qad/verbs/prompt_text.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "autograd/base/interrupt.h"
#include "data/files/utf8.h"
#include "data/text/text_sources.h"

namespace qad::verbs {
namespace {

constexpr const char* kStandardInput = "-";

std::string read_standard_input() {
  std::string text;
  std::array<char, 1 << 16> buffer;
  for (;;) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    constexpr int kMilliseconds = 100;  // between two looks at signals, which do not interrupt a read
    const int ready = ::poll(&input, 1, kMilliseconds);
    throw_if_stopped();
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw Error({.who = "standard input", .expected = "a prompt", .got = std::strerror(errno)});
    if (count == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

std::string without_last_line_break(std::string text, const std::string& who) {
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  if (text.empty())
    throw Error({.who = who,
                 .expected = "a prompt",
                 .got = "nothing",
                 .hint = "without --prompt, text begins at the start token"});
  return text;
}

}  // namespace

std::string prompt_text(const GenerateOptions& options) {
  if (options.prompt_file && !options.prompt.empty())
    throw Error({.who = "--prompt-file", .expected = "one prompt", .got = "--prompt too"}, ExitCode::usage);
  const bool is_stdin = options.prompt == kStandardInput || options.prompt_file == kStandardInput;
  if (is_stdin) {
    std::string text = read_standard_input();
    check_utf8(text, "standard input");
    return without_last_line_break(std::move(text), "standard input");
  }
  if (options.prompt_file)
    return without_last_line_break(read_utf8(*options.prompt_file, "a prompt"), options.prompt_file->string());
  if (find_invalid_utf8(options.prompt) != std::string::npos)
    throw Error({.who = "--prompt", .expected = "UTF-8 text", .got = "other bytes"}, ExitCode::usage);
  return options.prompt;
}

}  // namespace qad::verbs
