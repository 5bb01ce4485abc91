#include "autograd/tape/gradient_products.h"

#include "autograd/base/profile.h"
#include "autograd/core/elements.h"
#include "autograd/kernels/table.h"

namespace qad {
namespace {

thread_local Precision chosen = Precision::fp32;

}  // namespace

GradientProductsScope::GradientProductsScope(Precision products) : previous_(chosen) { chosen = products; }
GradientProductsScope::~GradientProductsScope() { chosen = previous_; }
Precision gradient_products() { return chosen; }

Tensor gradient_factor(const Tensor& x) {
  if (chosen == Precision::fp32 || x.dtype() == DType::bf16) return as_f32(x);
  const bool as_bf16 = kernel_table(x.device()).gemm_bf16 != nullptr;
  const Tensor rounded = as_bf16 ? Tensor(x.shape(), DType::bf16) : x.unique() ? x : Tensor(x.shape());
  const ProfileScope scope("round to BF16", 0, static_cast<double>(x.bytes() + rounded.bytes()));
  const ElementKernels& elements = element_kernels(x.device());
  if (as_bf16) elements.convert(DType::f32, x.raw(), DType::bf16, rounded.raw(), x.size());
  else elements.round_to_bf16(x.data(), rounded.data(), x.size());
  return rounded;
}

Tensor gradient_factor(const Operand& x) {
  if (chosen == Precision::fp32) return x.expand();
  if (!x.exact_in_bf16()) return gradient_factor(x.expand());
  return kernel_table().gemm_bf16 != nullptr ? x.expand_bf16() : x.expand();
}

}  // namespace qad
