// The precision of the products in backward.
#pragma once

#include "autograd/core/precision.h"
#include "autograd/core/tensor.h"
#include "autograd/tape/operand.h"

namespace qad {

/// While one of these lives on this thread, the products that give linear layers and the head their gradients, d·weight
/// and dᵀ·x, have both operands in this precision.
class GradientProductsScope {
 public:
  explicit GradientProductsScope(Precision products);
  ~GradientProductsScope();
  GradientProductsScope(const GradientProductsScope&) = delete;
  GradientProductsScope& operator=(const GradientProductsScope&) = delete;

 private:
  Precision previous_;
};
[[nodiscard]] Precision gradient_products();

/// A factor of such a product: FP32, or BF16 where kernels multiply that. `x` is overwritten if nobody else has it.
[[nodiscard]] Tensor gradient_factor(const Tensor& x);
[[nodiscard]] Tensor gradient_factor(const Operand& x);

}  // namespace qad
