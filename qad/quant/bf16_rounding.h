// What fills the slot of a parameter that is not quantized (embedding, norms, biases, a head that is kept): the forward
// reads its FP32 master as the exported files will hold it, in BF16. Gradients go straight through to the master.
#pragma once

#include "autograd/tape/operand_transform.h"

namespace qad {

/// Nearest, ties to even. Without state, so one object serves all parameters; what it gives reads the master and rounds
/// where rows are expanded, so that no second copy of an embedding stands in memory.
class Bf16Rounding final : public OperandTransform {
 public:
  [[nodiscard]] TransformResult apply(const Tensor& x, std::uint64_t version, Readers readers = {}) override;
};

}  // namespace qad
