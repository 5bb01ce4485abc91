// The short convolution along a sequence that stands before a recurrence (Mamba, 2023,
// https://arxiv.org/abs/2312.00752, section 3.4).
//
// Shapes: T tokens, C channels, K taps.
#pragma once

#include <memory>
#include <vector>

#include "autograd/ops/columns.h"
#include "autograd/ops/sequence_part.h"
#include "autograd/tape/parameter_operand.h"

namespace qad {

using SequenceParts = std::shared_ptr<const std::vector<SequencePart>>;

/// y[t, c] = silu(bias[c] + Σ_j weight[c, j]·x[t - K + 1 + j, c]), with zeros in place of what is before a sequence;
/// weight [C, 1, K], bias [C] or none. -> [T, C]
/// `history` [slots, K - 1, C], where a model decodes: the last K - 1 rows of x of every sequence, read where a part
/// has tokens before it, and brought up to date.
///   With z before silu: dz = dy·silu'(z),  dx[t] = Σ_j weight[j]·dz[t + K - 1 - j] within the sequence,
///   dweight[j] = Σ_t dz[t]·x[t - K + 1 + j],  dbias = Σ_t dz[t]
[[nodiscard]] Variable causal_convolution(const Columns& x, const ParameterOperand& weight,
                                          const ParameterOperand& bias, const SequenceParts& parts,
                                          const Tensor* history);

}  // namespace qad
