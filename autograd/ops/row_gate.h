// One gate for a whole row.
#pragma once

#include "autograd/tape/variable.h"

namespace qad {

/// y[t] = σ(score[t])·x[t]; x [T, C], scores [T, 1].
///   dx[t] = σ·dy[t],  dscore[t] = σ(1 - σ)·⟨dy[t], x[t]⟩
[[nodiscard]] Variable gated_rows(const Variable& x, const Variable& scores);

}  // namespace qad
