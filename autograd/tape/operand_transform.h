// A slot's content: something that stands between a layer and the operand that it multiplies. Layers own empty slots;
// whoever fills them (qad/quant, calibration observers) decides what happens. Empty means identity.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "autograd/core/tensor.h"
#include "autograd/tape/operand.h"

namespace qad {

struct TransformResult {
  /// What the forward multiplies, expanded where it is used; its shape is that of the input.
  std::shared_ptr<const Operand> operand;
  /// `operand` in FP32, or in BF16 where that serves all readers, if the transform has it anyway; else undefined: they
  /// take the operand as it is.
  Tensor value;
  /// Turns the gradient of the output, in place, into that of the input. Empty: straight through.
  std::function<void(const Tensor& gradient)> backward;
  /// Whether `backward` also gives gradients to parameters of the transform's own, so that it is to be called even if
  /// the input is a constant.
  bool learns = false;
};

/// What will be multiplied with a transform's result, where that is known.
using Readers = std::span<const std::shared_ptr<const Operand>>;

class OperandTransform {
 public:
  OperandTransform() = default;
  virtual ~OperandTransform() = default;
  OperandTransform(const OperandTransform&) = delete;
  OperandTransform& operator=(const OperandTransform&) = delete;

  /// `x` is a matrix [rows, cols] in FP32, BF16 or F16, the reduction axis of the product being cols, or, of a
  /// parameter, a vector (norms and biases).
  /// `version` counts the changes of a parameter, so that a weight is transformed once per optimizer step;
  /// 0 for what is not a parameter.
  /// `readers`: the result may come in whatever form serves them all; without any, in FP32.
  [[nodiscard]] virtual TransformResult apply(const Tensor& x, std::uint64_t version, Readers readers = {}) = 0;
};

using TransformSlot = std::shared_ptr<OperandTransform>;

}  // namespace qad
