// The guard of forwards whose result somebody will trust: evaluation, decoding, calibration.
#pragma once

#include <string>

#include "autograd/core/tensor.h"

namespace qad {

/// Throws NotFinite, naming `who`, unless x (FP32) holds finite values whose squares FP32 can sum over each row, as the
/// RMS norm that reads it does: a norm turns a sum that overflows into zeros, which look like a good result.
void require_finite(const Tensor& x, const std::string& who);

}  // namespace qad
