// The text that `qad generate` begins with: from the command line, a file, or standard input.
#pragma once

#include <string>

#include "qad/verbs/generate.h"

namespace qad::verbs {

/// The prompt, UTF-8. A file's or standard input's last line break is not part of it, as `echo` and editors add one.
/// Throws Error for both a text and a file, for what can't be read or is empty, and for a signal while nothing comes.
[[nodiscard]] std::string prompt_text(const GenerateOptions& options);

}  // namespace qad::verbs
