// Products with a weight that is kept in another form than FP32: it is expanded panel by panel (a few MiB at a time),
// so that a BF16 teacher or a packed student never stands in memory as floats.
#pragma once

#include "autograd/core/tensor.h"
#include "autograd/tape/operand.h"

namespace qad {

/// Rows of a weight [out, cols] that are expanded at a time.
[[nodiscard]] std::int64_t weight_panel_rows(std::int64_t cols);

/// x·weightᵀ: x [rows, in], weight [out, in] -> [rows, out]. An x in BF16 asks for a weight that is exact in BF16 and
/// for a kernel table with gemm_bf16; the result is FP32.
[[nodiscard]] Tensor times_transposed(const Tensor& x, const Operand& weight);
/// The same into existing memory [rows, out].
void times_transposed(const Tensor& x, const Operand& weight, float* out);
/// d·weight: d [rows, out], weight [out, in] -> [rows, in]; overwrites `result`, or adds to it when `accumulate`.
void times(const Tensor& d, const Operand& weight, bool accumulate, const Tensor& result);

}  // namespace qad
