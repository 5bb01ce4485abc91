// Mistral: Llama with a sliding window in every layer, and without biases.
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

void read_keys(const ConfigReader& config_json, ModelConfig& config) {
  read_llama_sizes(config_json, kDefaults, config);
  read_llama_widths(config_json, kDefaults, config);
  read_numbers(config_json, config);
  read_llama_rest(config_json, WindowRule::every_layer, config);
}

void write_keys(const ModelConfig& config, nlohmann::ordered_json& config_json) {
  write_llama_sizes(config, config_json);
  write_llama_rest(config, WindowRule::every_layer, config_json);
}

}  // namespace

extern constinit const Family kMistral = {.model_type = "mistral",
                                          .architecture = "MistralForCausalLM",
                                          .read = read_keys,
                                          .write = write_keys,
                                          .make = make_llama_kind,
                                          .gguf = &kLlamaGguf};

}  // namespace qad
