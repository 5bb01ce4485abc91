// Whether all values of a tensor are numbers, and stay numbers in BF16: a pass at the memory's speed.
#pragma once

#include <cstdint>
#include <string>

#include "autograd/core/tensor.h"

namespace qad {

/// The index of the first infinity or NaN of an FP32, BF16 or F16 tensor; its size without one.
[[nodiscard]] std::int64_t first_not_finite(const Tensor& tensor);
/// Throws NotFinite, naming the tensor, for an FP32 value that rounds to no finite BF16 number. Other types pass.
void check_fits_bf16(const std::string& name, const Tensor& tensor);

}  // namespace qad
