// Small models with recurrent layers, one of each family that has them.
#pragma once

#include <map>
#include <string>

#include "models/model_config.h"

namespace qad::testing {

inline ModelConfig small_hybrid(const std::string& model_type) {
  ModelConfig config;
  config.model_type = model_type;
  config.vocab_size = 64;
  config.hidden_size = 64;
  config.intermediate_size = 64;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 4;
  config.head_dim = 16;
  config.max_position_embeddings = 256;
  config.rms_norm_eps = 1e-5;
  config.initializer_range = 0.1;
  config.tie_word_embeddings = false;
  const ExpertsConfig experts{.num_experts = 6, .num_experts_per_tok = 2, .moe_intermediate_size = 32};
  if (model_type == "mamba2" || model_type == "nemotron_h")
    config.mamba = MambaConfig{.num_heads = 8, .head_dim = 16, .state_size = 16, .n_groups = 2};
  if (model_type == "mamba2") {
    const ModelConfig unsaid;  // it has no attention
    config.num_hidden_layers = 2;
    config.intermediate_size = unsaid.intermediate_size;
    config.num_attention_heads = unsaid.num_attention_heads;
    config.num_key_value_heads = unsaid.num_key_value_heads;
    config.head_dim = unsaid.head_dim;
  }
  if (model_type == "nemotron_h") {
    config.layer_pattern = "MEM*-";
    config.experts = experts;
    config.experts->scoring_func = ScoringFunction::sigmoid;
    config.experts->n_shared_experts = 1;
    config.experts->shared_expert_intermediate_size = 48;
    config.experts->routed_scaling_factor = 2.5;
  }
  if (model_type == "kimi_linear") {
    config.layer_pattern = "LL*";
    config.head_dim = 8;
    config.linear_attention = LinearAttentionConfig{};
    config.latent_attention = LatentAttentionConfig{.kv_lora_rank = 32, .qk_rope_head_dim = 8};
    config.experts = experts;
    config.experts->scoring_func = ScoringFunction::sigmoid;
    config.experts->n_shared_experts = 1;
    config.experts->first_k_dense_replace = 1;
  }
  if (model_type.starts_with("qwen3_")) {
    config.layer_pattern = "LL*";
    config.qk_norm = true;
    config.partial_rotary_factor = 0.25;
    config.linear_attention = LinearAttentionConfig{.num_key_heads = 2};
  }
  if (model_type == "qwen3_next" || model_type == "qwen3_5_moe_text") {
    config.experts = experts;
    config.experts->n_shared_experts = 1;
    config.experts->shared_expert_intermediate_size = 32;
  }
  if (!config.layer_pattern.empty()) config.num_hidden_layers = static_cast<std::int64_t>(config.layer_pattern.size());
  return config;
}

inline const auto kHybrids = {"mamba2", "nemotron_h", "kimi_linear", "qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"};

}  // namespace qad::testing
