// The one exception type for mistakes that a user can make, and an assert for those that only we can make.
//
// A message says who found it, what was expected, what was there, and what to do about it:
//     model.safetensors: expected tensor data within 2626168 bytes, got an end at 3000000 (is the file cut off?)
// Libraries throw; only qad/cli prints and exits.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace qad {

/// Exit codes of the `qad` program. interrupted: a signal stopped it, and what was done is saved (a run has a
/// checkpoint).
enum class ExitCode { done = 0, failed = 1, usage = 2, interrupted = 3 };

/// What `errno` says of opening a file that the user named: usage where there is none, else failed.
[[nodiscard]] ExitCode exit_code_of(int error_number);

struct Problem {
  std::string who{};       ///< the file, tensor, layer or recipe key at fault (file:line:column for a recipe)
  std::string expected{};  ///< without the word "expected"; empty when `got` is a whole sentence
  std::string got{};
  std::string hint{};  ///< what to do; may be empty
};

class Error : public std::runtime_error {
 public:
  explicit Error(const Problem& problem, ExitCode code = ExitCode::failed);
  [[nodiscard]] ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

/// A forward met an infinity or NaN: a training step may be skipped for it, an evaluation or export may not.
class NotFinite : public Error {
 public:
  using Error::Error;
};

[[noreturn]] void assertion_failed(std::string_view condition, std::string_view file, int line);

}  // namespace qad

/// A condition that only a bug in this program can break. Stays on in release builds; keep it out of inner loops.
#define QAD_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::qad::assertion_failed(#condition, __FILE__, __LINE__))
