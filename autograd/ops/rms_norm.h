// Root-mean-square normalisation.
#pragma once

#include "autograd/tape/parameter_operand.h"

namespace qad {

/// y = x·r·weight with r = 1/sqrt(mean(x²) + epsilon) for each row of weight's length; x [..., k·cols], weight [cols].
///   dx = r·(dy·weight - x·r²·mean(dy·weight·x)),  dweight += sum over rows of dy·x·r
[[nodiscard]] Variable rms_norm(const Variable& x, const ParameterOperand& weight, float epsilon);

}  // namespace qad
