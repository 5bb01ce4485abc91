// Small models with experts for export tests: rows of 64, so that every layout can hold them.
#pragma once

#include "tests/layouts/tiny_student.h"

namespace qad::testing {

inline ModelConfig qwen3_moe_config() {
  ModelConfig config = small_config(false);
  config.model_type = "qwen3_moe";
  config.qk_norm = true;
  config.hidden_size = 64;
  config.initializer_range = 0.2;
  config.experts = ExpertsConfig{.num_experts = 6, .num_experts_per_tok = 2, .moe_intermediate_size = 64};
  return config;
}

inline ModelConfig mixtral_config() {
  ModelConfig config = qwen3_moe_config();
  config.model_type = "mixtral";
  config.qk_norm = false;
  config.intermediate_size = 64;
  return config;
}

/// Latent attention, a first layer without experts, a shared expert, a router with a bias.
inline ModelConfig deepseek_v3_config() {
  ModelConfig config = qwen3_moe_config();
  config.model_type = "deepseek_v3";
  config.qk_norm = false;
  config.num_key_value_heads = config.num_attention_heads;
  config.latent_attention = LatentAttentionConfig{.q_lora_rank = 32, .kv_lora_rank = 32};
  config.experts = ExpertsConfig{.num_experts = 8,
                                 .num_experts_per_tok = 2,
                                 .moe_intermediate_size = 32,
                                 .first_k_dense_replace = 1,
                                 .n_shared_experts = 1,
                                 .n_group = 2,
                                 .topk_group = 1,
                                 .scoring_func = ScoringFunction::sigmoid,
                                 .routed_scaling_factor = 2.5};
  return config;
}

/// What NVIDIA ships: FP8 where experts are not.
inline QuantizeConfig experts_in_nvfp4_rest_in_fp8() {
  QuantizeConfig config = quantize_blocks("fp8", "fp8");
  config.rules.push_back({"*experts.*", "nvfp4", "nvfp4"});  // shared ones too: they read the same input
  return config;
}

}  // namespace qad::testing
