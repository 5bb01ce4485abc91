// Quantize a matrix to a number format and back. This is the one quantizer: training, calibration, evaluation and
// export all come through here. quantize_reference.h is its definition; NVFP4, MXFP4 and FP8 have SIMD versions with
// the same bits (quantize_simd.h). A block scale follows from the largest magnitude of its block, unless it was chosen
// before (block_scales.h). Rows are spread over threads; results do not depend on how many.
#pragma once

#include <cstdint>

#include "qad/formats/interleaved_rows.h"
#include "qad/formats/quantized_tensor.h"

namespace qad {

struct QuantizeStatistics {
  std::int64_t saturated = 0;   ///< |x| > format.saturation_limit(tensor scale)
  std::int64_t non_finite = 0;  ///< infinities and NaN; where there are any, the codes mean nothing
};

/// What a device does with number formats: qad's own rows of the kernel table, beside those of autograd/core/elements.h
/// and autograd/kernels/table.h. The functions below, and those of interleaved_rows.h, integer_product.h and
/// in_order_product.h, call those of the device where their tensors live.
struct FormatKernels {
  QuantizeStatistics (*quantize)(const float* x, QuantizedTensor& out, float* values);
  QuantizeStatistics (*quantize_bf16)(const float* x, QuantizedTensor& out, std::uint16_t* bf16_values);
  QuantizeStatistics (*quantize_with_scales)(const float* x, QuantizedTensor& out);
  void (*dequantize_rows)(const QuantizedTensor& tensor, std::int64_t begin, std::int64_t end, float* out);
  void (*dequantize_rows_bf16)(const QuantizedTensor& tensor, std::int64_t begin, std::int64_t end, std::uint16_t* out);
  float (*amax)(const float* x, std::int64_t count);
  InterleavedRows (*interleaved)(const QuantizedTensor& tensor);
  QuantizedTensor (*separated)(const InterleavedRows& tensor, std::int64_t begin, std::int64_t end);
  void (*integer_product)(const QuantizedTensor& x, const InterleavedRows& w, float* out);
  void (*product_with_interleaved)(const Tensor& x, const InterleavedRows& w, float* out);
  void (*product_with_codes)(const Tensor& x, const QuantizedTensor& w, float* out);
};
[[nodiscard]] const FormatKernels& format_kernels(Device device);

/// Quantizes x [out.rows, out.cols], row-major, with out's format and tensor scale into out's codes and scales; if
/// `values` is given, writes there what the codes stand for, in the same pass (not over x).
QuantizeStatistics quantize(const float* x, QuantizedTensor& out, float* values = nullptr);
/// The same with the values in BF16, which must hold them: out.format->exact_in_bf16(out.tensor_scale).
QuantizeStatistics quantize(const float* x, QuantizedTensor& out, std::uint16_t* bf16_values);

/// The same with the block scales that `out` has, however they were chosen.
QuantizeStatistics quantize_with_scales(const float* x, QuantizedTensor& out);

/// Rows [begin, end) as floats, to `out`.
void dequantize_rows(const QuantizedTensor& tensor, std::int64_t begin, std::int64_t end, float* out);
/// The same in BF16, which must hold them.
void dequantize_rows(const QuantizedTensor& tensor, std::int64_t begin, std::int64_t end, std::uint16_t* bf16_out);

/// One row [cols] in the thread that calls, for loops over rows.
void dequantize_row(const QuantizedTensor& tensor, std::int64_t row, float* out);

/// The largest magnitude; infinite or NaN if any value is. 0 for no values.
[[nodiscard]] float amax(const float* x, std::int64_t count, Device device = Device::cpu);

}  // namespace qad
