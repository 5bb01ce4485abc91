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

/// max(x, 0)² (So et al., Primer, 2021).   dx = 2·max(x, 0)·d
[[nodiscard]] Variable squared_relu(const Variable& x);

/// x·σ(gate), same shapes.   dx = d·σ(gate),  dgate = d·x·σ(gate)·(1 - σ(gate))
[[nodiscard]] Variable sigmoid_gated(const Variable& x, const Variable& gate);

}  // namespace qad
