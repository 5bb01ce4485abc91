// Mixtral: Mistral with experts in place of every feed-forward layer; a token's weights always sum to one.
#include <array>
#include <nlohmann/json.hpp>

#include "models/families/common_keys.h"
#include "models/families/family.h"
#include "models/families/llama_gguf.h"
#include "models/families/llama_kind.h"

namespace qad {
namespace {

constexpr LlamaDefaults kDefaults = {.vocab_size = 32000,
                                     .hidden_size = 4096,
                                     .intermediate_size = 14336,
                                     .num_hidden_layers = 32,
                                     .num_attention_heads = 32,
                                     .num_key_value_heads = 8,
                                     .max_position_embeddings = 131072};
constexpr std::int64_t kExperts = 8, kExpertsOfToken = 2;

constexpr auto kKnownKeys = std::to_array<std::string_view>({"num_local_experts", "num_experts"});

constexpr ExpertNames kNames = {.module = "block_sparse_moe", .gate = "w1", .up = "w3", .down = "w2"};

// intermediate_size is the width of an expert; router_jitter_noise is for who pretrains.
void read_keys(const ConfigReader& config_json, ModelConfig& config) {
  read_llama_sizes(config_json, kDefaults, config);
  read_llama_widths(config_json, kDefaults, config);
  read_numbers(config_json, config, 1e-5);
  config.experts = ExpertsConfig{.num_experts = read_expert_count(config_json, kExperts),
                                 .num_experts_per_tok = config_json.whole("num_experts_per_tok", kExpertsOfToken, 1),
                                 .moe_intermediate_size = config.intermediate_size};
  config.rope_theta = 1e6;
  read_llama_rest(config_json, WindowRule::if_said, config);
}

void write_keys(const ModelConfig& config, nlohmann::ordered_json& config_json) {
  write_llama_sizes(config, config_json);
  const ExpertsConfig experts = config.experts.value_or(ExpertsConfig());
  config_json["num_local_experts"] = experts.num_experts;
  config_json["num_experts_per_tok"] = experts.num_experts_per_tok;
  write_llama_rest(config, WindowRule::if_said, config_json);
}

std::unique_ptr<LanguageModel> make_mixtral(const ModelConfig& config, const ParameterMaker& make) {
  return make_llama_kind(config, make, kNames);
}

constexpr auto kGgufExperts = std::to_array<GgufName>({{"block_sparse_moe.gate", "ffn_gate_inp", true, true},
                                                       {"block_sparse_moe.experts.*.w1", "ffn_gate_exps", true},
                                                       {"block_sparse_moe.experts.*.w3", "ffn_up_exps", true},
                                                       {"block_sparse_moe.experts.*.w2", "ffn_down_exps", true}});

// To llama.cpp it is a Llama with experts.
constexpr GgufFamily kGguf = {.architecture = "llama",
                              .in_layer = kLlamaGgufInLayer,
                              .around = kLlamaGgufAround,
                              .experts = kGgufExperts,
                              .neighbours = kLlamaGgufNeighbours,
                              .add_sizes = add_llama_gguf_sizes,
                              .refuse = refuse_llama_gguf,
                              .place_without_scale = llama_gguf_place_without_scale};

}  // namespace

extern constinit const Family kMixtral = {.model_type = "mixtral",
                                          .architecture = "MixtralForCausalLM",
                                          .known_keys = kKnownKeys,
                                          .one_width = true,
                                          .read = read_keys,
                                          .write = write_keys,
                                          .make = make_mixtral,
                                          .gguf = &kGguf};

}  // namespace qad
