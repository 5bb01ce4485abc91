// The next token from a row of logits: greedy, or drawn at a temperature among all or the likeliest.
#pragma once

#include <cstdint>
#include <span>

#include "autograd/base/random.h"
#include "models/decode/generate.h"

namespace qad {

/// All arithmetic in double, ids in a fixed order, so that a seed means the same text everywhere. Draws one number
/// unless the temperature is 0.
[[nodiscard]] std::int32_t choose_token(std::span<const float> logits, const GenerateConfig& config, Random& random);

}  // namespace qad
