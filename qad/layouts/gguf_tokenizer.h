// A tokenizer in the words of llama.cpp, tokenizer.ggml.*: its tokens with their kinds, and merges (byte-level BPE,
// model gpt2) or scores (SentencePiece's kind, model llama). llama.cpp knows pre-tokenizers by name only, so those of
// GPT-2, SmolLM, Llama 3 and Qwen 2/3 can be said, and the byte tokenizer, which merges nothing; any other is an Error.
//
// Two things llama.cpp does in its own way: it never normalizes to NFC; and in the model llama it merges whatever
// neighbours make a token, where a tokenizer.json merges listed pairs only (in ordinary text the ids are the same),
// and stops at a character that the vocabulary lacks if it lacks byte tokens too.
//
// Source: llama.cpp v0.5.0, src/llama-vocab.cpp.
#pragma once

#include "data/files/gguf.h"
#include "data/tokenizer/tokenizer.h"
#include "models/model_config.h"

namespace qad {

/// For a model of `config`, whose vocabulary may be larger. Without a tokenizer the file says that it holds none.
[[nodiscard]] GgufMetadata gguf_tokenizer(const Tokenizer* tokenizer, const ModelConfig& config);

}  // namespace qad
