// The one table through which ops reach kernels, so that a second backend can stand beside this one. A backend is a
// folder with the same file names and a function that fills this table.
#pragma once

#include "autograd/core/storage.h"
#include "autograd/kernels/adamw.h"
#include "autograd/kernels/attention.h"
#include "autograd/kernels/causal_convolution.h"
#include "autograd/kernels/delta_rule.h"
#include "autograd/kernels/elementwise.h"
#include "autograd/kernels/embedding.h"
#include "autograd/kernels/gated_rms_norm.h"
#include "autograd/kernels/gemm.h"
#include "autograd/kernels/gemm_in_order.h"
#include "autograd/kernels/log_decay.h"
#include "autograd/kernels/losses.h"
#include "autograd/kernels/rms_norm.h"
#include "autograd/kernels/rope.h"
#include "autograd/kernels/rows.h"
#include "autograd/kernels/state_space_scan.h"

namespace qad {

struct KernelTable {
  decltype(&kernels::gemm) gemm;
  decltype(&kernels::gemm_bf16) gemm_bf16;  ///< null where the CPU has no instructions for it
  decltype(&kernels::gemm_in_order) gemm_in_order;
  decltype(&kernels::gemm_in_order_bf16) gemm_in_order_bf16;
  decltype(&kernels::gemm_in_order_interleaved) gemm_in_order_interleaved;
  decltype(&kernels::interleave_bf16) interleave_bf16;
  decltype(&kernels::add) add;
  decltype(&kernels::accumulate) accumulate;
  decltype(&kernels::add_bias) add_bias;
  decltype(&kernels::accumulate_column_sums) accumulate_column_sums;
  decltype(&kernels::sum_of_squares) sum_of_squares;
  decltype(&kernels::swiglu_forward) swiglu_forward;
  decltype(&kernels::swiglu_backward) swiglu_backward;
  decltype(&kernels::squared_relu_forward) squared_relu_forward;
  decltype(&kernels::squared_relu_backward) squared_relu_backward;
  decltype(&kernels::sigmoid_gated_forward) sigmoid_gated_forward;
  decltype(&kernels::sigmoid_gated_backward) sigmoid_gated_backward;
  decltype(&kernels::rms_norm_forward) rms_norm_forward;
  decltype(&kernels::rms_norm_backward) rms_norm_backward;
  decltype(&kernels::gated_rms_norm_forward) gated_rms_norm_forward;
  decltype(&kernels::gated_rms_norm_backward) gated_rms_norm_backward;
  decltype(&kernels::rope) rope;
  decltype(&kernels::attention_forward) attention_forward;
  decltype(&kernels::attention_backward) attention_backward;
  decltype(&kernels::log_decay_forward) log_decay_forward;
  decltype(&kernels::log_decay_backward) log_decay_backward;
  decltype(&kernels::delta_rule_forward) delta_rule_forward;
  decltype(&kernels::delta_rule_backward) delta_rule_backward;
  decltype(&kernels::causal_convolution_forward) causal_convolution_forward;
  decltype(&kernels::causal_convolution_backward) causal_convolution_backward;
  decltype(&kernels::state_space_scan_forward) state_space_scan_forward;
  decltype(&kernels::state_space_scan_backward) state_space_scan_backward;
  decltype(&kernels::embedding_forward) embedding_forward;
  decltype(&kernels::embedding_forward_bf16) embedding_forward_bf16;
  decltype(&kernels::embedding_backward) embedding_backward;
  decltype(&kernels::copy_rows) copy_rows;
  decltype(&kernels::row_loss) row_loss;
  decltype(&kernels::row_figures) row_figures;
  decltype(&kernels::adamw) adamw;
  decltype(&kernels::adamw_bf16) adamw_bf16;
};

/// The kernels for data on `device`. The environment variable QAD_SIMD (AVX3, AVX2, SSE4, EMU128) limits the
/// instruction set, so that another CPU gives the same bits; ONEDNN_MAX_CPU_ISA (AVX2, AVX512_CORE, …) does the same
/// for oneDNN.
[[nodiscard]] const KernelTable& kernel_table(Device device = Device::cpu);
/// What ran, for logs and checkpoints: "oneDNN 2.6.3 AVX512_CORE_BF16, SIMD AVX3".
[[nodiscard]] const char* kernel_description();

}  // namespace qad
