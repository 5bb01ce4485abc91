// Qwen2: biases on q, k and v, and a sliding window in the later layers, if it is used at all.
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
                                     .max_position_embeddings = 32768};

void read_keys(const ConfigReader& config_json, ModelConfig& config) {
  read_llama_sizes(config_json, kDefaults, config);
  read_llama_widths(config_json, kDefaults, config);
  read_numbers(config_json, config);
  config.attention_bias = true;
  read_llama_rest(config_json, WindowRule::later_layers, config);
}

void write_keys(const ModelConfig& config, nlohmann::ordered_json& config_json) {
  write_llama_sizes(config, config_json);
  write_llama_rest(config, WindowRule::later_layers, config_json);
}

std::string place_without_scale(const std::string& layer, const ModelConfig& /*config*/) {
  return layer.find(".mlp.") != std::string::npos ? "no nvfp4 in the mlp of qwen2" : "";
}

constexpr GgufFamily kGguf = {.architecture = "qwen2",
                              .in_layer = kLlamaGgufInLayer,
                              .around = kLlamaGgufAround,
                              .add_sizes = add_llama_gguf_sizes,
                              .refuse = refuse_qwen_gguf,
                              .place_without_scale = place_without_scale};

}  // namespace

extern constinit const Family kQwen2 = {.model_type = "qwen2",
                                        .architecture = "Qwen2ForCausalLM",
                                        .read = read_keys,
                                        .write = write_keys,
                                        .make = make_llama_kind,
                                        .gguf = &kGguf};

}  // namespace qad
