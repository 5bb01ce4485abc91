// Root-mean-square normalisation.
#pragma once

#include "autograd/tape/parameter_operand.h"

namespace qad {

/// y = x·r·w with w = weight + offset and r = 1/sqrt(mean(x²) + epsilon) for each row of weight's length;
/// x [..., k·cols], weight [cols]. Some families keep their weights around 0: their offset is 1.
///   dx = r·(dy·w - x·r²·mean(dy·w·x)),  dweight += sum over rows of dy·x·r
[[nodiscard]] Variable rms_norm(const Variable& x, const ParameterOperand& weight, float epsilon, float offset = 0.0f);

}  // namespace qad
