// Tensors whose numbers or axes are not those of the hub in GGUF (models/families/gguf_family.h), there and back.
#pragma once

#include "autograd/core/tensor.h"
#include "models/families/gguf_family.h"

namespace qad {

/// In FP32.
[[nodiscard]] Tensor in_gguf_form(const Tensor& value, const GgufTensor& tensor, const ModelConfig& config);
/// The inverse; of numbers that went through an exponential or a sum a neighbour may come back.
[[nodiscard]] Tensor in_hub_form(const Tensor& value, const GgufTensor& tensor);

}  // namespace qad
