// What a template's operation says when it can't go on; whoever knows the template's line makes a qad::Error of it.
#pragma once

#include <string>
#include <string_view>

#include "autograd/base/error.h"

namespace qad::jinja {

struct Failure {
  std::string expected;  ///< empty when `got` is a whole sentence
  std::string got;
  std::string hint{};
  /// The rendering ended from outside, by its budget or by a signal: no fault that another conversation may not show.
  bool is_end = false;
  ExitCode code = ExitCode::failed;
};

/// A failure with `is_end`, once the template's line is known.
class Ended : public Error {
 public:
  using Error::Error;
};

/// For a message: control characters, line ends among them, as spaces, and cut where it gets long.
[[nodiscard]] std::string one_line(std::string_view text);

/// What a Failure adds that is only due to us.
inline constexpr const char* kPart = "qad knows a part of Jinja";

}  // namespace qad::jinja
