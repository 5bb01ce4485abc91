#include "autograd/kernels/table.h"

#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "autograd/kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/table.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "autograd/base/error.h"
#include "autograd/base/profile.h"
#include "autograd/kernels/blas.h"
#include "autograd/kernels/profiled_table.h"

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

// QAD_SIMD=AVX2: nothing better than that, even where the CPU has it. Highway gives better targets lower bits.
void limit_simd() {
  const char* limit = std::getenv("QAD_SIMD");
  if (limit == nullptr || *limit == '\0') return;
  std::string known;
  for (std::int64_t targets = HWY_TARGETS; targets != 0; targets &= targets - 1) {
    const std::int64_t target = targets & -targets;
    if (std::string_view(limit) == hwy::TargetName(target)) return hwy::DisableTargets(target - 1);
    known += fmt::format("{}{}", known.empty() ? "" : ", ", hwy::TargetName(target));
  }
  throw Error({.who = "QAD_SIMD", .expected = "one of " + known, .got = limit}, ExitCode::usage);
}

KernelTable make_cpu_table() {
  limit_simd();
  return {.gemm = gemm,
          .gemm_bf16 = has_bf16_products() ? gemm_bf16 : nullptr,
          .gemm_in_order = gemm_in_order,
          .gemm_in_order_bf16 = gemm_in_order_bf16,
          .gemm_in_order_interleaved = gemm_in_order_interleaved,
          .interleave_bf16 = interleave_bf16,
          .add = add,
          .accumulate = accumulate,
          .add_bias = add_bias,
          .accumulate_column_sums = accumulate_column_sums,
          .sum_of_squares = sum_of_squares,
          .swiglu_forward = swiglu_forward,
          .swiglu_backward = swiglu_backward,
          .squared_relu_forward = squared_relu_forward,
          .squared_relu_backward = squared_relu_backward,
          .sigmoid_gated_forward = sigmoid_gated_forward,
          .sigmoid_gated_backward = sigmoid_gated_backward,
          .rms_norm_forward = rms_norm_forward,
          .rms_norm_backward = rms_norm_backward,
          .gated_rms_norm_forward = gated_rms_norm_forward,
          .gated_rms_norm_backward = gated_rms_norm_backward,
          .rope = rope,
          .attention_forward = attention_forward,
          .attention_backward = attention_backward,
          .log_decay_forward = log_decay_forward,
          .log_decay_backward = log_decay_backward,
          .delta_rule_forward = delta_rule_forward,
          .delta_rule_backward = delta_rule_backward,
          .causal_convolution_forward = causal_convolution_forward,
          .causal_convolution_backward = causal_convolution_backward,
          .state_space_scan_forward = state_space_scan_forward,
          .state_space_scan_backward = state_space_scan_backward,
          .embedding_forward = embedding_forward,
          .embedding_forward_bf16 = embedding_forward_bf16,
          .embedding_backward = embedding_backward,
          .copy_rows = copy_rows,
          .row_loss = row_loss,
          .row_figures = row_figures,
          .adamw = adamw,
          .adamw_bf16 = adamw_bf16};
}

std::string describe() { return fmt::format("{}, SIMD {}", blas_description(), HWY_DYNAMIC_DISPATCH(simd_target)()); }

}  // namespace
}  // namespace kernels

const KernelTable& kernel_table(Device device) {
  QAD_ASSERT(device == Device::cpu);
  static const KernelTable cpu = kernels::make_cpu_table();
  static const KernelTable profiled_cpu = kernels::profiled(cpu);
  return profiling() ? profiled_cpu : cpu;
}

const char* kernel_description() {
  static_cast<void>(kernel_table());  // it may have a limit to apply
  static const std::string description = kernels::describe();
  return description.c_str();
}

}  // namespace qad
#endif
