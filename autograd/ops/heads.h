// Heads that are put together from parts and taken apart again, as multi-head latent attention does (DeepSeek-V2, 2024,
// https://arxiv.org/abs/2405.04434, section 2.1).
//
// Shapes: T tokens, H heads side by side in a row; d numbers of a head.
#pragma once

#include "autograd/ops/rope.h"

namespace qad {

/// Of every head of x [T, H·d] the numbers [begin, end), with zeros after them up to `width`: [T, H·width].
///   dx = dy there, 0 elsewhere
[[nodiscard]] Variable head_part(const Variable& x, std::int64_t heads, std::int64_t begin, std::int64_t end,
                                 std::int64_t width);

/// x [T, H·d] with `part` [T, p] in place of the numbers [begin, begin + p) of every head, which must be zeros that
/// nobody asks a gradient of (head_part's). Written over x if nobody else holds it.
///   dx = dy,  d_part = Σ over the heads of dy there
[[nodiscard]] Variable share_head_part(Variable x, const Variable& part, std::int64_t heads, std::int64_t begin);

/// Rotates neighbours (2i, 2i + 1) of the last `tail` numbers of every head by position·frequency(i); written over x if
/// nobody else holds it.
///   dx = the inverse rotation of dy
[[nodiscard]] Variable rope_of_neighbours(Variable x, std::int64_t heads, std::int64_t tail,
                                          const std::shared_ptr<const std::vector<std::int32_t>>& positions,
                                          const RotaryTable& table);

}  // namespace qad
