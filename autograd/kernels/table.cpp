#include "autograd/kernels/table.h"

#include <fmt/format.h>

#include <string>

#include "autograd/kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/table.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "autograd/core/error.h"
#include "autograd/kernels/blas.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

const char* simd_target() { return hwy::TargetName(HWY_TARGET); }

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad {
namespace kernels {

HWY_EXPORT(simd_target);

namespace {

KernelTable make_cpu_table() {
  return {.gemm = gemm,
          .add = add,
          .accumulate = accumulate,
          .scale = scale,
          .add_bias = add_bias,
          .accumulate_column_sums = accumulate_column_sums,
          .sum_of_squares = sum_of_squares,
          .amax = amax,
          .swiglu_forward = swiglu_forward,
          .swiglu_backward = swiglu_backward,
          .rms_norm_forward = rms_norm_forward,
          .rms_norm_backward = rms_norm_backward,
          .rope = rope,
          .attention_forward = attention_forward,
          .attention_backward = attention_backward,
          .embedding_forward = embedding_forward,
          .embedding_forward_bf16 = embedding_forward_bf16,
          .embedding_backward = embedding_backward,
          .row_loss = row_loss,
          .row_figures = row_figures,
          .adamw = adamw};
}

std::string describe() { return fmt::format("{}, SIMD {}", blas_description(), HWY_DYNAMIC_DISPATCH(simd_target)()); }

}  // namespace
}  // namespace kernels

const KernelTable& kernel_table(Device device) {
  QAD_ASSERT(device == Device::cpu);
  static const KernelTable cpu = kernels::make_cpu_table();
  return cpu;
}

const char* kernel_description() {
  static const std::string description = kernels::describe();
  return description.c_str();
}

}  // namespace qad
#endif
