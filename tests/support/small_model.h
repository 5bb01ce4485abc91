// A model and a batch small enough to be made anew in every test, with groups, GQA and a head. The one place where
// tests say what a small model is: who needs another takes this one and says what differs.
#pragma once

#include <cstdint>
#include <string>

#include "models/import/model_folder.h"
#include "qad/quant/quant_config.h"

namespace qad::testing {

inline ModelConfig small_config(bool tied = true) {
  ModelConfig config;
  config.vocab_size = 64;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.tie_word_embeddings = tied;
  return config;
}

/// The same for the tokenizer `bytes`.
inline ModelConfig small_config_of_bytes() {
  ModelConfig config = small_config();
  config.vocab_size = 258;
  config.bos_token_id = 256;
  config.eos_token_id = {257};
  return config;
}

/// One document of twelve tokens.
inline TokenBatch small_batch() {
  TokenBatch batch;
  for (std::int32_t t = 0; t < 12; ++t) {
    batch.ids.push_back((t * 7 + 3) % 64);
    batch.positions.push_back(t);
    batch.labels.push_back(kNoLabel);
    batch.valid.push_back(1);
  }
  batch.segments = {{0, 12}};
  batch.document = {0};
  return batch;
}

/// All linear layers but the head.
inline QuantizeConfig quantize_blocks(const std::string& weights, const std::string& inputs) {
  QuantizeConfig config;
  config.rules = {{"*", weights, inputs}, {"lm_head", "none", "none"}};
  return config;
}

}  // namespace qad::testing
