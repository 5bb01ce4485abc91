// The tiny training's model with experts: of the kind with a choice bias and a shared expert, or of the other.
#pragma once

#include "tests/train/tiny_training.h"

namespace qad::testing {

inline ModelConfig with_experts(ScoringFunction scores, std::int64_t experts = 8) {
  ModelConfig config = tiny_model_config();
  config.model_type = scores == ScoringFunction::sigmoid ? "deepseek_v3" : "qwen3_moe";
  config.experts = ExpertsConfig{.num_experts = experts, .num_experts_per_tok = 2, .moe_intermediate_size = 32};
  config.experts->scoring_func = scores;
  if (scores == ScoringFunction::softmax) {
    config.qk_norm = true;
    return config;
  }
  config.experts->first_k_dense_replace = 1;
  config.experts->n_shared_experts = 1;
  config.num_key_value_heads = config.num_attention_heads;
  config.head_dim = 16;
  config.latent_attention = LatentAttentionConfig{
      .q_lora_rank = 32, .kv_lora_rank = 32, .qk_nope_head_dim = 16, .qk_rope_head_dim = 16, .v_head_dim = 16};
  return config;
}

}  // namespace qad::testing
