// Products of floats with codes: weight-only formats while a model decodes. No weight stands in memory as a float.
#pragma once

#include "qad/formats/interleaved_rows.h"
#include "qad/formats/quantized_tensor.h"

namespace qad {

/// out [n, w.rows] = x·wᵀ for x [n, w.cols] in FP32: one chain of fused multiply-adds over k in order for each element,
/// with the values that dequantize_rows gives. So the bits are those of kernels::gemm_in_order with these, at any
/// number of rows beside it, and of threads. Any format; E2M1 codes are fastest as InterleavedRows.
void in_order_product(const Tensor& x, const QuantizedTensor& w, float* out);
void in_order_product(const Tensor& x, const InterleavedRows& w, float* out);

namespace cpu {
void in_order_product(const Tensor& x, const QuantizedTensor& w, float* out);
void in_order_product(const Tensor& x, const InterleavedRows& w, float* out);
}  // namespace cpu

}  // namespace qad
