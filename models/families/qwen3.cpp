// Qwen3: norms on each head of q and k, head_dim of its own, and Qwen2's sliding window.
#include <array>
#include <nlohmann/json.hpp>

#include "models/families/common_keys.h"
#include "models/families/family.h"
#include "models/families/llama_gguf.h"
#include "models/families/llama_kind.h"

namespace qad {
namespace {

constexpr LlamaDefaults kDefaults = {.vocab_size = 151936,
                                     .hidden_size = 4096,
                                     .intermediate_size = 22016,
                                     .num_hidden_layers = 32,
                                     .num_attention_heads = 32,
                                     .num_key_value_heads = 32,
                                     .head_dim = 128,
                                     .max_position_embeddings = 32768};

// It has norms on the heads of q and k.
constexpr auto kKnownKeys = std::to_array<std::string_view>({"qk_norm", "use_qk_norm", "qk_layernorm"});

void read_keys(const ConfigReader& config_json, ModelConfig& config) {
  read_llama_sizes(config_json, kDefaults, config);
  read_llama_widths(config_json, kDefaults, config);
  read_numbers(config_json, config);
  config.qk_norm = true;
  read_attention_bias(config_json, config);
  read_llama_rest(config_json, WindowRule::later_layers, config);
}

void write_keys(const ModelConfig& config, nlohmann::ordered_json& config_json) {
  write_llama_sizes(config, config_json);
  config_json["attention_bias"] = config.attention_bias;
  write_llama_rest(config, WindowRule::later_layers, config_json);
}

constexpr GgufFamily kGguf = {.architecture = "qwen3",
                              .in_layer = kLlamaGgufInLayer,
                              .around = kLlamaGgufAround,
                              .add_sizes = add_llama_gguf_sizes,
                              .refuse = refuse_qwen_gguf,
                              .place_without_scale = llama_gguf_place_without_scale};

}  // namespace

extern constinit const Family kQwen3 = {.model_type = "qwen3",
                                        .architecture = "Qwen3ForCausalLM",
                                        .known_keys = kKnownKeys,
                                        .read = read_keys,
                                        .write = write_keys,
                                        .make = make_llama_kind,
                                        .gguf = &kGguf};

}  // namespace qad
