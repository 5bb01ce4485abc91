// What one sequence waits for while it is decoded: the model's bytes, read once a token.
#pragma once

#include <filesystem>
#include <optional>

#include "qad/quant/decode_head.h"

namespace qad::bench {

/// Makes the model of workload D (209 million parameters, random weights) in `folder`: bf16, and its NVFP4 student
/// (W4A4) in the layouts modelopt and, with a tokenizer from `tokenizer`, gguf.
void make_decoding_models(const std::filesystem::path& folder, const std::filesystem::path& tokenizer);

/// Opens a model folder and prints a JSON object: file_bytes, resident_bytes (the highest until a first token),
/// load_seconds, prompt_tokens_per_second (of a prompt of 512 tokens, or as many as its context has room for),
/// tokens_per_second of one sequence after it (the median of rounds), weight_bytes that a token reads, and
/// reading_gbps: what a plain reader of as many bytes has here. `head`: decode.head. With `profile` the time of 48
/// tokens by operation comes first.
void measure_one_sequence(const std::filesystem::path& folder, int rounds, std::optional<HeadFormat> head,
                          bool profile);

}  // namespace qad::bench
