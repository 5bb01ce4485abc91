// NVIDIA ModelOpt's unified Hugging Face layout, which TensorRT-LLM, vLLM and SGLang read.
//
// A quantized layer P in NVFP4 (W4A4, or W4A16 without input_scale):
//     P.weight          U8 [N, K/2]        codes, the even column in the low nibble
//     P.weight_scale    F8_E4M3 [N, K/16]  block scales, row-major, unswizzled
//     P.weight_scale_2  F32 []             tensor scale, a multiplier
//     P.input_scale     F32 []             tensor scale of the input, a multiplier
// and in FP8: P.weight F8_E4M3 [N, K], P.weight_scale F32 [], P.input_scale F32 [].
// FP8 keys and values of an attention layer A: A.k_proj.k_scale and A.v_proj.v_scale, F32 [].
// What is quantized how stands in hf_quant_config.json and once more in config.json; layers that stay as they are, are
// listed by their full names, since vLLM also matches substrings.
//
// Source: ModelOpt 0.47, modelopt/torch/export/{unified_export_hf,quant_utils,convert_hf_config}.py.
#pragma once

#include "qad/layouts/export_refusals.h"

namespace qad {

/// Whether the layout has a place for a layer of these formats.
[[nodiscard]] bool holds_modelopt(const LayerFormats& formats);
void pack_modelopt_tensors(const ExportModel& model, ExportFiles& files);
void pack_modelopt_texts(const ExportModel& model, ExportFiles& files);
[[nodiscard]] ExportModel unpack_modelopt(const ExportFiles& files);

}  // namespace qad
