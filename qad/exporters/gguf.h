// llama.cpp's GGUF: one file model.gguf with weights, sizes and tokenizer, for the architectures llama (Mistral too),
// qwen2 and qwen3.
//
//     blk.N.attn_q.weight       NVFP4 blocks [out, in] (gguf_blocks.h); MXFP4 for mxfp4
//     blk.N.attn_q.scale        F32 [1]  tensor scale, a multiplier on the product; NVFP4 only
//     blk.N.attn_q.input_scale  F32 [1]  tensor scale of the input in W4A4; llama.cpp reads it and goes its own way
//
// Other matrices are BF16, vectors F32. A tied head is not stored. The stretch of Llama 3's rotary frequencies is the
// tensor rope_freqs.weight. For llama the rows of q and k, and their biases, stand in the order of rotary pairs that
// are neighbours, which engine and Hugging Face see differently. Beside the file lie config.json and the tokenizer's
// files, so that qad reads the folder back; scales of FP8 keys and values are metadata of our own (qad.*).
//
// Source: llama.cpp v0.5.0, src/llama-arch.cpp, src/models/{llama,qwen2,qwen3}.cpp, conversion/{base,llama,qwen}.py.
#pragma once

#include "qad/exporters/exporter.h"

namespace qad {

/// The name of the file in an exported folder.
inline constexpr const char* kGgufFile = "model.gguf";

/// Throws, naming layer or key, for formats that llama.cpp has no type for, an inner dimension that is no multiple of
/// 64 (NVFP4), and what its architectures leave out: a sliding window, for Qwen a bias on o and stretched rotary
/// frequencies, and the tensor scale in the feed-forward layers of qwen2 and in those with biases.
[[nodiscard]] ExportFiles pack_gguf(const ExportModel& model);
/// Reads what pack_gguf writes; the tokenizer is not taken out again.
[[nodiscard]] ExportModel unpack_gguf(const ExportFiles& files);

}  // namespace qad
