// DeepSeek-V2: latent attention, and experts that a softmax chooses, in larger models from the best groups.
#include <array>
#include <nlohmann/json.hpp>

#include "models/families/deepseek_kind.h"
#include "models/families/family.h"

namespace qad {
namespace {

constexpr DeepseekDefaults kDefaults = {.sizes = {.vocab_size = 32000,
                                                  .hidden_size = 4096,
                                                  .intermediate_size = 11008,
                                                  .num_hidden_layers = 32,
                                                  .num_attention_heads = 32,
                                                  .max_position_embeddings = 2048},
                                        .moe_intermediate_size = 1407,
                                        .n_routed_experts = 64,
                                        .n_shared_experts = 2,
                                        .first_k_dense_replace = 0,
                                        .num_experts_per_tok = 0,
                                        .routed_scaling_factor = 1.0};

constexpr auto kKnownKeys =
    std::to_array<std::string_view>({"kv_lora_rank", "q_lora_rank", "n_routed_experts", "num_experts"});

// norm_topk_prob is read by nobody: transformers has no such line.
void read_keys(const ConfigReader& config_json, ModelConfig& config) {
  if (config_json.text("scoring_func", "softmax") != "softmax")
    config_json.refuse("scoring_func", "scoring_func to be softmax");
  read_deepseek_keys(config_json, kDefaults, config);
  config.experts->norm_topk_prob = false;
  const std::string method = config_json.text("topk_method", "greedy");
  if (method != "greedy" && method != "group_limited_greedy")
    config_json.refuse("topk_method", "topk_method to be greedy or group_limited_greedy");
  if (method == "group_limited_greedy") read_expert_groups(config_json, 1, 1, *config.experts);
  read_llama_rest(config_json, WindowRule::none, config);
}

void write_keys(const ModelConfig& config, nlohmann::ordered_json& config_json) {
  write_deepseek_keys(config, config_json);
  const bool grouped = config.experts && config.experts->n_group > 1;
  config_json["topk_method"] = grouped ? "group_limited_greedy" : "greedy";
  config_json["scoring_func"] = "softmax";
  write_llama_rest(config, WindowRule::none, config_json);
}

}  // namespace

extern constinit const Family kDeepseekV2 = {.model_type = "deepseek_v2",
                                             .architecture = "DeepseekV2ForCausalLM",
                                             .known_keys = kKnownKeys,
                                             .read = read_keys,
                                             .write = write_keys,
                                             .make = make_llama_kind,
                                             .no_gguf = kNoDeepseekGguf};

}  // namespace qad
