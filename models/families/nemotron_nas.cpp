// Llama-Nemotron: Llama whose architecture was searched for, so that layers differ or lack attention or feed-forward
// (block_configs.h). Its class derives from transformers' Llama.
#include <nlohmann/json.hpp>

#include "models/families/block_configs.h"
#include "models/families/common_keys.h"
#include "models/families/family.h"
#include "models/families/llama_kind.h"

namespace qad {
namespace {

constexpr LlamaDefaults kDefaults = {.vocab_size = 32000,
                                     .hidden_size = 4096,
                                     .num_hidden_layers = 32,
                                     .num_attention_heads = 32,
                                     .max_position_embeddings = 2048};

void read_keys(const ConfigReader& config_json, ModelConfig& config) {
  read_llama_sizes(config_json, kDefaults, config);
  read_blocks(config_json, config);
  read_numbers(config_json, config);
  read_attention_bias(config_json, config);
  config.mlp_bias = config_json.flag("mlp_bias", false);
  read_llama_rest(config_json, WindowRule::none, config);
}

void write_keys(const ModelConfig& config, nlohmann::ordered_json& config_json) {
  write_llama_sizes(config, config_json);
  config_json["attention_bias"] = config.attention_bias;
  config_json["mlp_bias"] = config.mlp_bias;
  write_llama_rest(config, WindowRule::none, config_json);
  write_blocks(config, config_json);
}

}  // namespace

extern constinit const Family kNemotronNas = {.model_type = "nemotron-nas",
                                              .architecture = "DeciLMForCausalLM",
                                              .brings_code = true,
                                              .read = read_keys,
                                              .write = write_keys,
                                              .make = make_llama_kind};

}  // namespace qad
