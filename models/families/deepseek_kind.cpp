#include "models/families/deepseek_kind.h"

#include <nlohmann/json.hpp>

#include "models/families/common_keys.h"

namespace qad {

void read_latent_attention(const ConfigReader& config_json, std::int64_t q_lora_rank, ModelConfig& config) {
  const auto size = [&](const char* key, std::int64_t fallback, std::int64_t low = 1) {
    return config_json.whole(key, fallback, low);
  };
  LatentAttentionConfig& attention = config.latent_attention.emplace();
  attention.q_lora_rank = config_json.has("q_lora_rank") ? 0 : q_lora_rank;
  if (config_json.says("q_lora_rank")) attention.q_lora_rank = size("q_lora_rank", 0);
  attention.kv_lora_rank = size("kv_lora_rank", 512);
  attention.qk_nope_head_dim = size("qk_nope_head_dim", 128);
  attention.qk_rope_head_dim = size("qk_rope_head_dim", 64, 2);
  attention.v_head_dim = size("v_head_dim", 128);
  config.head_dim = attention.qk_rope_head_dim;  // as transformers has it: rotary positions turn so many numbers
}

void write_latent_attention(const ModelConfig& config, nlohmann::ordered_json& config_json) {
  const LatentAttentionConfig attention = config.latent_attention.value_or(LatentAttentionConfig());
  config_json["q_lora_rank"] = nullptr;
  if (attention.q_lora_rank > 0) config_json["q_lora_rank"] = attention.q_lora_rank;
  config_json["kv_lora_rank"] = attention.kv_lora_rank;
  config_json["qk_nope_head_dim"] = attention.qk_nope_head_dim;
  config_json["qk_rope_head_dim"] = attention.qk_rope_head_dim;
  config_json["v_head_dim"] = attention.v_head_dim;
}

void read_deepseek_keys(const ConfigReader& config_json, const DeepseekDefaults& defaults, ModelConfig& config) {
  const auto size = [&](const char* key, std::int64_t fallback, std::int64_t low = 1) {
    return config_json.whole(key, fallback, low);
  };
  read_llama_sizes(config_json, defaults.sizes, config);
  read_llama_widths(config_json, defaults.sizes, config);
  config.num_key_value_heads = config.num_attention_heads;  // each head has its own; no other number means anything
  read_numbers(config_json, config);
  for (const char* key : {"attention_bias", "mlp_bias"})
    if (config_json.flag(key, false)) config_json.refuse(key, std::string(key) + " to be false");
  if (!config_json.flag("rope_interleave", true)) config_json.refuse("rope_interleave", "rope_interleave to be true");
  if (size("moe_layer_freq", 1) != 1) config_json.refuse("moe_layer_freq", "moe_layer_freq to be 1");

  read_latent_attention(config_json, 1536, config);
  ExpertsConfig& experts = config.experts.emplace();
  experts.num_experts = size("n_routed_experts", defaults.n_routed_experts);
  if (defaults.num_experts_per_tok == 0 && !config_json.says("num_experts_per_tok"))
    config_json.refuse("num_experts_per_tok", "a number for num_experts_per_tok");
  experts.num_experts_per_tok = size("num_experts_per_tok", defaults.num_experts_per_tok);
  experts.moe_intermediate_size = size("moe_intermediate_size", defaults.moe_intermediate_size);
  const bool null_shared = config_json.has("n_shared_experts") && !config_json.says("n_shared_experts");
  experts.n_shared_experts = null_shared ? 0 : size("n_shared_experts", defaults.n_shared_experts, 0);
  experts.first_k_dense_replace = size("first_k_dense_replace", defaults.first_k_dense_replace, 0);
  experts.routed_scaling_factor = config_json.above(0, "routed_scaling_factor", defaults.routed_scaling_factor);
}

void read_expert_groups(const ConfigReader& config_json, std::int64_t groups, std::int64_t taken,
                        ExpertsConfig& experts) {
  experts.n_group = config_json.whole("n_group", groups, 1);
  experts.topk_group = config_json.whole("topk_group", taken, 1);
}

void write_deepseek_keys(const ModelConfig& config, nlohmann::ordered_json& config_json) {
  write_llama_sizes(config, config_json);
  const ExpertsConfig experts = config.experts.value_or(ExpertsConfig());
  config_json["attention_bias"] = false;
  write_latent_attention(config, config_json);
  config_json["n_routed_experts"] = experts.num_experts;
  config_json["num_experts_per_tok"] = experts.num_experts_per_tok;
  config_json["moe_intermediate_size"] = experts.moe_intermediate_size;
  config_json["n_shared_experts"] = experts.n_shared_experts;
  config_json["first_k_dense_replace"] = experts.first_k_dense_replace;
  config_json["moe_layer_freq"] = 1;
  config_json["n_group"] = experts.n_group;
  config_json["topk_group"] = experts.topk_group;
  config_json["routed_scaling_factor"] = experts.routed_scaling_factor;
  config_json["norm_topk_prob"] = experts.norm_topk_prob;
}

}  // namespace qad
