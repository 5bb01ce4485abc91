// llama.cpp's GGUF: one file model.gguf with weights, sizes and tokenizer. What a family is called in it, and what
// llama.cpp can't be told of one, the families say (models/families/gguf_family.h).
//
//     blk.N.attn_q.weight       NVFP4 blocks [out, in] (gguf_blocks.h); MXFP4 for mxfp4
//     blk.N.attn_q.scale        F32 [1]  tensor scale, a multiplier on the product; NVFP4 only
//     blk.N.attn_q.input_scale  F32 [1]  tensor scale of the input in W4A4; llama.cpp reads it and goes its own way
//     blk.N.ffn_up_exps.weight  NVFP4 blocks [experts, out, in]; its .scale and .input_scale are F32 [experts]
//
// Other matrices are BF16, vectors and routers F32. A tied head is not stored. The stretch of Llama 3's rotary
// frequencies is the tensor rope_freqs.weight. For architectures that turn neighbours (llama) the rows of q and k, and
// their biases, stand in the order of rotary pairs that are neighbours, which engine and Hugging Face see differently.
// Of families with recurrences some tensors stand in other numbers or axes (gguf_forms.h: ssm_a is -exp(A_log)) or as
// two (gguf_splits.h). Where the inverse would not give the same bits back, the originals are metadata too,
// qad.original.<tensor>, and are compared with the tensor when they are read.
//
// Beside the file lie config.json and the tokenizer's files, so that qad reads the folder back; scales of FP8 keys and
// values are metadata of our own (qad.*), one a layer, 0 where it has none.
//
// Source: llama.cpp v0.5.0, src/llama-arch.cpp, conversion/base.py.
#pragma once

#include "qad/layouts/export_refusals.h"

namespace qad {

/// The name of the file in an exported folder.
inline constexpr const char* kGgufFile = "model.gguf";

/// Whether llama.cpp has a type for weights of this format, and can leave such inputs to itself.
[[nodiscard]] bool holds_gguf(const LayerFormats& formats);
/// An inner dimension that is no multiple of 64 (NVFP4), and what llama.cpp's architectures leave out: values of
/// config.json, and the tensor scale of some layers.
[[nodiscard]] std::vector<Refusal> refuse_gguf(const ExportOutline& outline);
/// Throws for a tokenizer that llama.cpp has no words for.
void check_gguf_tokenizer(const Tokenizer& tokenizer, const ModelConfig& config);
void pack_gguf_tensors(const ExportModel& model, ExportFiles& files);
void pack_gguf_texts(const ExportModel& model, ExportFiles& files);
/// Reads what these write; the tokenizer is not taken out again.
[[nodiscard]] ExportModel unpack_gguf(const ExportFiles& files);

}  // namespace qad
