// The Llama kind: families that differ from Llama by config alone (biases, q/k norms, a sliding window, head_dim,
// experts, tying, blocks that lack attention or feed-forward). What their files share: the keys of config.json that all
// of them have, and how they are built. Their GGUF: llama_gguf.h.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "models/families/config_reader.h"
#include "models/families/hf_window.h"
#include "models/language_model.h"
#include "models/layers/experts_layer.h"

namespace qad {

/// What transformers' config class takes for a key that is not there (5.24, models/*/configuration_*.py).
struct LlamaDefaults {
  std::int64_t vocab_size, hidden_size;
  std::int64_t intermediate_size = 0;  ///< of read_llama_widths
  std::int64_t num_hidden_layers, num_attention_heads;
  std::int64_t num_key_value_heads = 0;  ///< 0: num_attention_heads, which null stands for in all of them
  std::int64_t head_dim = 0;             ///< 0: hidden_size / num_attention_heads
  std::int64_t max_position_embeddings;
};

// A family's `read` calls these in this order, with its own keys before the last.
/// The sizes that all layers share.
void read_llama_sizes(const ConfigReader& config_json, const LlamaDefaults& defaults, ModelConfig& config);
/// intermediate_size and num_key_value_heads, of a family without block_configs.
void read_llama_widths(const ConfigReader& config_json, const LlamaDefaults& defaults, ModelConfig& config);
/// attention_bias, which stands for q, k, v and o.
void read_attention_bias(const ConfigReader& config_json, ModelConfig& config);
/// Special tokens, a check of the sizes, the window and rotary positions.
void read_llama_rest(const ConfigReader& config_json, WindowRule rule, ModelConfig& config);

// And its `write`.
void write_llama_sizes(const ModelConfig& config, nlohmann::ordered_json& config_json);
void write_llama_rest(const ModelConfig& config, WindowRule rule, nlohmann::ordered_json& config_json);

[[nodiscard]] std::unique_ptr<LanguageModel> make_llama_kind(const ModelConfig& config, const ParameterMaker& make);
[[nodiscard]] std::unique_ptr<LanguageModel> make_llama_kind(const ModelConfig& config, const ParameterMaker& make,
                                                             const ExpertNames& experts);

}  // namespace qad
