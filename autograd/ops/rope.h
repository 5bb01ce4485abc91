// Rotary position embedding.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "autograd/tape/variable.h"

namespace qad {

/// Cosines and sines of position·frequency: [positions, numbers of a head that are rotated / 2].
struct RotaryTable {
  Tensor cosines, sines;
};

/// With h columns in the table, rotates pairs (i, i + h) of every head by position·frequency(i), i < h, and leaves what
/// comes after them; x [tokens, heads·head_dim], written over if nobody else holds it.
///   dx = the inverse rotation of dy
[[nodiscard]] Variable rope(Variable x, std::int64_t head_dim,
                            const std::shared_ptr<const std::vector<std::int32_t>>& positions,
                            const RotaryTable& table);

}  // namespace qad
