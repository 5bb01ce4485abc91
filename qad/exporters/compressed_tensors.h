// The compressed-tensors layout, which vLLM, SGLang and Hugging Face transformers read: `nvfp4-pack-quantized`,
// `mxfp4-pack-quantized` and `float-quantized`; layers of several kinds make it `mixed-precision`.
//
// A quantized layer P in NVFP4 (W4A4, or W4A16 without input_global_scale):
//     P.weight_packed        U8 [N, K/2]        codes, the even column in the low nibble
//     P.weight_scale         F8_E4M3 [N, K/16]  block scales, row-major, unswizzled
//     P.weight_global_scale  F32 [1]            one over the tensor scale: a divisor
//     P.input_global_scale   F32 [1]            one over the tensor scale of the input
// in MXFP4 (W4A4 or W4A16; nothing is stored of inputs, whose scales readers make by a rule of their own: that of
// compressed-tensors goes up a power of two sooner than OCP's, from 1.75·2^n):
//     P.weight_packed        U8 [N, K/2]        as above
//     P.weight_scale         U8 [N, K/32]       E8M0: the exponent of a power of two, plus 127
// in FP8 (W8A8):
//     P.weight               F8_E4M3 [N, K]
//     P.weight_scale         BF16 [1]           a multiplier (F32 where BF16 would round)
//     P.input_scale          BF16 [1]           the same for the input
// FP8 keys and values of an attention layer A: A.k_scale and A.v_scale, of the same types, multipliers.
// Because it stores reciprocals in NVFP4, only tensor scales that are powers of two are exact there; others are
// refused.
//
// Source: compressed-tensors 0.18 and 0.20, compressors/{nvfp4,mxfp4,naive_quantized},
// quantization/{quant_config,quant_scheme,quant_args}.py.
#pragma once

#include "qad/exporters/exporter.h"

namespace qad {

[[nodiscard]] ExportFiles pack_compressed_tensors(const ExportModel& model);
[[nodiscard]] ExportModel unpack_compressed_tensors(const ExportFiles& files);

}  // namespace qad
