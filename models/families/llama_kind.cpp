#include "models/families/llama_kind.h"

#include <nlohmann/json.hpp>

#include "models/families/assemble.h"
#include "models/families/block_configs.h"
#include "models/families/common_keys.h"
#include "models/families/hf_rope.h"
#include "models/layers/attention_layer.h"
#include "models/layers/feed_forward_layer.h"
#include "models/layers/latent_attention_layer.h"
#include "models/layers/linear_layer.h"

namespace qad {

void read_llama_sizes(const ConfigReader& config_json, const LlamaDefaults& defaults, ModelConfig& config) {
  check_activation(config_json);
  const auto size = [&](const char* key, std::int64_t fallback) { return config_json.whole(key, fallback, 1); };
  config.vocab_size = size("vocab_size", defaults.vocab_size);
  config.hidden_size = size("hidden_size", defaults.hidden_size);
  config.num_hidden_layers = read_layer_count(config_json, defaults.num_hidden_layers);
  config.num_attention_heads = size("num_attention_heads", defaults.num_attention_heads);
  config.max_position_embeddings = size("max_position_embeddings", defaults.max_position_embeddings);
  config.head_dim = size("head_dim", defaults.head_dim);
}

void read_llama_widths(const ConfigReader& config_json, const LlamaDefaults& defaults, ModelConfig& config) {
  refuse_blocks(config_json, config);
  if (config_json.has("intermediate_size") && !config_json.says("intermediate_size"))
    config_json.refuse("intermediate_size", "a value for intermediate_size", "leave the key out for the family's own");
  config.intermediate_size = config_json.whole("intermediate_size", defaults.intermediate_size, 1);
  const bool as_many_as_heads = config_json.has("num_key_value_heads") || defaults.num_key_value_heads == 0;
  config.num_key_value_heads = config_json.whole(
      "num_key_value_heads", as_many_as_heads ? config.num_attention_heads : defaults.num_key_value_heads, 1);
}

void read_attention_bias(const ConfigReader& config_json, ModelConfig& config) {
  config.attention_bias = config.attention_output_bias = config_json.flag("attention_bias", false);
}

void read_llama_rest(const ConfigReader& config_json, WindowRule rule, ModelConfig& config) {
  read_special_tokens(config_json, config);
  config.check(config_json.who());
  read_window(config_json, rule, config);
  read_rope(config_json, config);
}

void write_llama_sizes(const ModelConfig& config, nlohmann::ordered_json& config_json) {
  config_json["vocab_size"] = config.vocab_size;
  config_json["hidden_size"] = config.hidden_size;
  config_json["intermediate_size"] = config.intermediate_size;
  config_json["num_hidden_layers"] = config.num_hidden_layers;
  config_json["num_attention_heads"] = config.num_attention_heads;
  config_json["num_key_value_heads"] = config.num_key_value_heads;
  config_json["head_dim"] = config.head_size();
  config_json["hidden_act"] = "silu";
  config_json["max_position_embeddings"] = config.max_position_embeddings;
  config_json["rms_norm_eps"] = config.rms_norm_eps;
  config_json["initializer_range"] = config.initializer_range;
  config_json["tie_word_embeddings"] = config.tie_word_embeddings;
}

void write_llama_rest(const ModelConfig& config, WindowRule rule, nlohmann::ordered_json& config_json) {
  write_rope(config, config_json);
  write_window(config, rule, config_json);
  write_special_tokens(config, config_json);
}

std::unique_ptr<LanguageModel> make_llama_kind(const ModelConfig& config, const ParameterMaker& make) {
  return make_llama_kind(config, make, ExpertNames());
}

std::unique_ptr<LanguageModel> make_llama_kind(const ModelConfig& config, const ParameterMaker& make,
                                               const ExpertNames& experts) {
  const auto rotary = std::make_shared<Rotary>(config);
  return assemble_model(config, make, {}, [&](std::int64_t i, const std::string& name) {
    const BlockConfig block = config.block(i);
    const auto attention = [&](const char* module) {
      return LayerPlace{i, name + "." + module, name + ".input_layernorm"};
    };
    const auto feed_forward = [&](const std::string& module) {
      return LayerPlace{i, name + "." + module, name + ".post_attention_layernorm"};
    };
    std::vector<Residual> parts;
    if (block.linear_attention)
      parts.push_back(make_linear_layer(config, attention("self_attn.linear_attn"), ModuleKind::attention, make));
    else if (config.latent_attention)
      parts.push_back(make_latent_attention(config, attention("self_attn"), rotary, make));
    else if (block.num_key_value_heads > 0)
      parts.push_back(make_attention(config, attention("self_attn"), rotary, make));
    if (block.linear_feed_forward)
      parts.push_back(make_linear_layer(config, feed_forward("mlp.linear_mlp"), ModuleKind::feed_forward, make));
    else if (config.has_experts(i)) parts.push_back(make_experts(config, feed_forward(experts.module), experts, make));
    else if (block.intermediate_size > 0) parts.push_back(make_feed_forward(config, feed_forward("mlp"), make));
    return parts;
  });
}

}  // namespace qad
