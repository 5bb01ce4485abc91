// The compressed-tensors layout, which vLLM, SGLang and Hugging Face transformers read; layers of several kinds make it
// `mixed-precision`.
//
// A quantized layer P in NVFP4 (`nvfp4-pack-quantized`; W4A4, or W4A16 without input_global_scale):
//     P.weight_packed        U8 [N, K/2]        codes, the even column in the low nibble
//     P.weight_scale         F8_E4M3 [N, K/16]  block scales, row-major, unswizzled
//     P.weight_global_scale  F32 [1]            one over the tensor scale: a divisor
//     P.input_global_scale   F32 [1]            one over the tensor scale of the input
// in MXFP4 (`mxfp4-pack-quantized`; W4A4 or W4A16; nothing is stored of inputs, whose scales readers make by a rule of
// their own: that of compressed-tensors goes up a power of two sooner than OCP's, from 1.75·2^n):
//     P.weight_packed        U8 [N, K/2]        as above
//     P.weight_scale         U8 [N, K/32]       E8M0: the exponent of a power of two, plus 127
// in INT4 of groups and INT8 of rows (`pack-quantized`, weights alone; packed_words.h):
//     P.weight_packed        I32 [N, K/8 or K/4]
//     P.weight_scale         BF16 [N, K/128] or F32 [N, 1]
//     P.weight_shape         I64 [2]            N, K
// in FP8 (`float-quantized`; `naive-quantized` without inputs):
//     P.weight               F8_E4M3 [N, K]
//     P.weight_scale         BF16 [1]           a multiplier (F32 where BF16 would round); F32 [N, 1] for rows
//     P.input_scale          BF16 [1]           the same for the input; rows of inputs find theirs when they come
// FP8 keys and values of an attention layer A: A.k_scale and A.v_scale, of the same types, multipliers.
// Because it stores reciprocals in NVFP4, only tensor scales that are powers of two are exact there; others are
// refused. Where BF16 can't hold the dequantized weights, config.json says float32, in which readers then compute; such
// layers can't stand beside those in NVFP4 or MXFP4, which compressed-tensors decodes to BF16 alone.
//
// Source: compressed-tensors 0.18 and 0.20, compressors/{nvfp4,mxfp4,naive_quantized,pack_quantized},
// quantization/{quant_config,quant_scheme,quant_args}.py.
#pragma once

#include "qad/layouts/export_refusals.h"

namespace qad {

/// Whether the layout has a place for a layer of these formats.
[[nodiscard]] bool holds_compressed_tensors(const LayerFormats& formats);
[[nodiscard]] std::vector<Refusal> refuse_compressed_tensors(const ExportOutline& outline);
void pack_compressed_tensors_tensors(const ExportModel& model, ExportFiles& files);
void pack_compressed_tensors_texts(const ExportModel& model, ExportFiles& files);
[[nodiscard]] ExportModel unpack_compressed_tensors(const ExportFiles& files);

}  // namespace qad
