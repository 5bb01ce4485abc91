// Whether held-out text is text that was trained on.
#pragma once

#include <cstdint>

#include "data/text/documents.h"

namespace qad {

/// How many of the held-out documents are in the training text too, token by token. Of the last of each, which a limit
/// on tokens may have cut short, the shorter one is enough, from kEnoughTokens on.
[[nodiscard]] std::int64_t count_shared(const Documents& held_out, const Documents& training);

inline constexpr std::int64_t kEnoughTokens = 32;

}  // namespace qad
