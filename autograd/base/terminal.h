// What may be written to standard error: whether it is a terminal that redraws a line, whether it may get escape codes.
// Standard output and files never get any.
#pragma once

namespace qad {

/// A terminal that understands "\r": one with a TERM other than dumb.
[[nodiscard]] bool stderr_redraws();

/// Whether escape codes (colours, erasing) may be written. Never with NO_COLOR (no-color.org: set and not empty); with
/// CLICOLOR_FORCE other than 0 always; else to a terminal as above, unless CLICOLOR is 0.
[[nodiscard]] bool stderr_takes_escapes();

}  // namespace qad
