// DeepSeek-V3: latent attention, and experts that a sigmoid and a bias choose from the best groups.
#include <array>
#include <nlohmann/json.hpp>

#include "models/families/deepseek_kind.h"
#include "models/families/family.h"

namespace qad {
namespace {

constexpr DeepseekDefaults kDefaults = {.sizes = {.vocab_size = 129280,
                                                  .hidden_size = 7168,
                                                  .intermediate_size = 18432,
                                                  .num_hidden_layers = 61,
                                                  .num_attention_heads = 128,
                                                  .max_position_embeddings = 4096},
                                        .moe_intermediate_size = 2048,
                                        .n_routed_experts = 256,
                                        .n_shared_experts = 1,
                                        .first_k_dense_replace = 3,
                                        .num_experts_per_tok = 8,
                                        .routed_scaling_factor = 2.5};

constexpr auto kKnownKeys = std::to_array<std::string_view>(
    {"kv_lora_rank", "q_lora_rank", "n_routed_experts", "num_local_experts", "rope_interleave"});

void read_keys(const ConfigReader& config_json, ModelConfig& config) {
  for (const auto& [key, only] : {std::pair{"scoring_func", "sigmoid"}, {"topk_method", "noaux_tc"}})
    if (config_json.text(key, only) != only) config_json.refuse(key, std::string(key) + " to be " + only);
  read_deepseek_keys(config_json, kDefaults, config);
  read_expert_groups(config_json, 8, 4, *config.experts);
  config.experts->scoring_func = ScoringFunction::sigmoid;
  config.experts->norm_topk_prob = config_json.flag("norm_topk_prob", true);
  read_llama_rest(config_json, WindowRule::none, config);
}

void write_keys(const ModelConfig& config, nlohmann::ordered_json& config_json) {
  write_deepseek_keys(config, config_json);
  config_json["scoring_func"] = "sigmoid";
  config_json["topk_method"] = "noaux_tc";
  config_json["rope_interleave"] = true;
  write_llama_rest(config, WindowRule::none, config_json);
}

}  // namespace

extern constinit const Family kDeepseekV3 = {.model_type = "deepseek_v3",
                                             .architecture = "DeepseekV3ForCausalLM",
                                             .known_keys = kKnownKeys,
                                             .read = read_keys,
                                             .write = write_keys,
                                             .make = make_llama_kind,
                                             .no_gguf = kNoDeepseekGguf};

}  // namespace qad
