// Elementwise ops.
#pragma once

#include "autograd/tape/variable.h"

namespace qad {

/// a + b, same shapes; written over b if nobody else holds it.   da = db = d
[[nodiscard]] Variable add(const Variable& a, Variable b);

/// factor·x, written over x if nobody else holds it.   dx = factor·d
[[nodiscard]] Variable scaled(Variable x, float factor);

/// silu(gate)·up, silu(z) = z·σ(z) (Shazeer, 2020).   dgate = d·up·silu'(gate),  dup = d·silu(gate)
[[nodiscard]] Variable swiglu(const Variable& gate, const Variable& up);

}  // namespace qad
