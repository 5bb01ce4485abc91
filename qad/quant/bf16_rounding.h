// What fills the slot of what is not quantized: of a parameter (embedding, norms, biases, a head that is kept), whose
// FP32 master the forward reads as the exported files will hold it, in BF16; or of a layer's input, which is multiplied
// in BF16 as engines do. Gradients go straight through.
#pragma once

#include "autograd/core/precision.h"
#include "autograd/tape/operand_transform.h"
#include "models/language_model.h"

namespace qad {

/// Nearest, ties to even. Without state, so one object serves all. What it gives of a parameter reads the master and
/// rounds where rows are expanded, so that no second copy of an embedding stands in memory; an input is kept in BF16.
class Bf16Rounding final : public OperandTransform {
 public:
  [[nodiscard]] TransformResult apply(const Tensor& x, std::uint64_t version, Readers readers = {}) override;
};

/// Whether products with all of these take BF16.
[[nodiscard]] bool all_multiply_bf16(Readers readers, Device device);

/// Inputs of linear layers whose slots are empty are multiplied in this precision.
void set_input_precision(LanguageModel& model, Precision precision);

}  // namespace qad
