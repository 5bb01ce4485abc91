// Qwen3-MoE: Qwen3 with experts in place of a feed-forward layer, and a sliding window in every layer, if it is used at
// all.
#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "models/families/common_keys.h"
#include "models/families/family.h"
#include "models/families/llama_gguf.h"
#include "models/families/llama_kind.h"

namespace qad {
namespace {

constexpr LlamaDefaults kDefaults = {.vocab_size = 151936,
                                     .hidden_size = 2048,
                                     .intermediate_size = 6144,
                                     .num_hidden_layers = 24,
                                     .num_attention_heads = 32,
                                     .num_key_value_heads = 4,
                                     .max_position_embeddings = 32768};

// It has norms on the heads of q and k, and experts.
constexpr auto kKnownKeys =
    std::to_array<std::string_view>({"qk_norm", "use_qk_norm", "qk_layernorm", "num_local_experts", "num_experts"});

void read_experts(const ConfigReader& config_json, ModelConfig& config) {
  const auto size = [&](const char* key, std::int64_t fallback) { return config_json.whole(key, fallback, 1); };
  ExpertsConfig& experts = config.experts.emplace();
  experts.num_experts = read_expert_count(config_json, 128);
  experts.num_experts_per_tok = size("num_experts_per_tok", 8);
  experts.moe_intermediate_size = size("moe_intermediate_size", 768);
  experts.decoder_sparse_step = size("decoder_sparse_step", 1);
  experts.norm_topk_prob = config_json.flag("norm_topk_prob", false);
  experts.mlp_only_layers = config_json.wholes("mlp_only_layers", 0);
}

void read_keys(const ConfigReader& config_json, ModelConfig& config) {
  read_llama_sizes(config_json, kDefaults, config);
  read_llama_widths(config_json, kDefaults, config);
  read_numbers(config_json, config);
  config.qk_norm = true;
  read_experts(config_json, config);
  read_attention_bias(config_json, config);
  read_llama_rest(config_json, WindowRule::all_if_used, config);
}

void write_keys(const ModelConfig& config, nlohmann::ordered_json& config_json) {
  write_llama_sizes(config, config_json);
  config_json["attention_bias"] = config.attention_bias;
  write_llama_rest(config, WindowRule::all_if_used, config_json);
  if (!config.experts) return;
  config_json["num_experts"] = config.experts->num_experts;
  config_json["num_experts_per_tok"] = config.experts->num_experts_per_tok;
  config_json["moe_intermediate_size"] = config.experts->moe_intermediate_size;
  config_json["norm_topk_prob"] = config.experts->norm_topk_prob;
  config_json["decoder_sparse_step"] = config.experts->decoder_sparse_step;
  config_json["mlp_only_layers"] = config.experts->mlp_only_layers;
}

constexpr auto kGgufExperts = std::to_array<GgufName>({{"mlp.gate", "ffn_gate_inp", true, true},
                                                       {"mlp.experts.*.gate_proj", "ffn_gate_exps", true},
                                                       {"mlp.experts.*.up_proj", "ffn_up_exps", true},
                                                       {"mlp.experts.*.down_proj", "ffn_down_exps", true}});

constexpr GgufFamily kGguf = {.architecture = "qwen3moe",
                              .in_layer = kLlamaGgufInLayer,
                              .around = kLlamaGgufAround,
                              .experts = kGgufExperts,
                              .add_sizes = add_llama_gguf_sizes,
                              .refuse = refuse_qwen_experts_gguf,
                              .place_without_scale = llama_gguf_place_without_scale};

}  // namespace

extern constinit const Family kQwen3Moe = {.model_type = "qwen3_moe",
                                           .architecture = "Qwen3MoeForCausalLM",
                                           .known_keys = kKnownKeys,
                                           .read = read_keys,
                                           .write = write_keys,
                                           .make = make_llama_kind,
                                           .gguf = &kGguf};

}  // namespace qad
