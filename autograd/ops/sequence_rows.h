// The parts of a batch as kernels see them.
#pragma once

#include <vector>

#include "autograd/core/tensor.h"
#include "autograd/kernels/sequence_rows.h"
#include "autograd/ops/sequence_part.h"

namespace qad {

/// `parts` cover all `rows`. `states` [slots, …], if not null, holds what sequences left; without it none has tokens
/// before its part.
[[nodiscard]] std::vector<kernels::SequenceRows> sequence_rows(const std::vector<SequencePart>& parts,
                                                               std::int64_t rows, const Tensor* states);

}  // namespace qad
