// The one clock for measuring how long something takes.
#pragma once

namespace qad {

/// Seconds since some start, never backwards.
[[nodiscard]] double steady_seconds();

}  // namespace qad
