// How much memory the system has left for this process.
#pragma once

#include <cstddef>

namespace qad {

/// Bytes, by Linux' own estimate (MemAvailable) and the limit of the control group; the largest number where neither
/// is known.
[[nodiscard]] std::size_t free_memory();

}  // namespace qad
