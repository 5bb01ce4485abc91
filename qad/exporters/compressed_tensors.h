// The compressed-tensors layout `nvfp4-pack-quantized`, which vLLM, SGLang and Hugging Face transformers read.
//
// A quantized layer P in NVFP4 (W4A4, or W4A16 without input_global_scale):
//     P.weight_packed        U8 [N, K/2]        codes, the even column in the low nibble
//     P.weight_scale         F8_E4M3 [N, K/16]  block scales, row-major, unswizzled
//     P.weight_global_scale  F32 [1]            one over the tensor scale: a divisor
//     P.input_global_scale   F32 [1]            one over the tensor scale of the input
// FP8 keys and values of an attention layer A: A.k_scale and A.v_scale, BF16 [1] (F32 where BF16 would round),
// multipliers.
// Because it stores reciprocals, only tensor scales that are powers of two are exact in it; others are refused.
//
// Source: compressed-tensors 0.18, compressors/nvfp4, quantization/{quant_config,quant_scheme,quant_args}.py.
#pragma once

#include "qad/exporters/exporter.h"

namespace qad {

[[nodiscard]] ExportFiles pack_compressed_tensors(const ExportModel& model);
[[nodiscard]] ExportModel unpack_compressed_tensors(const ExportFiles& files);

}  // namespace qad
