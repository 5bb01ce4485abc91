// The other direction of models/families/hf_config.cpp: a ModelConfig as config.json, and whether one can say it.
#include <nlohmann/json.hpp>

#include "autograd/base/error.h"
#include "models/families/block_configs.h"
#include "models/families/hf_config.h"
#include "models/families/hf_rope.h"
#include "models/families/registry.h"

namespace qad {
namespace {

using Json = nlohmann::ordered_json;

void write_special_tokens(const ModelConfig& config, Json& json) {
  json["bos_token_id"] = config.bos_token_id >= 0 ? Json(config.bos_token_id) : Json(nullptr);
  if (config.eos_token_id.empty()) json["eos_token_id"] = nullptr;
  else if (config.eos_token_id.size() == 1) json["eos_token_id"] = config.eos_token_id.front();
  else json["eos_token_id"] = config.eos_token_id;
}

void write_window(const ModelConfig& config, WindowRule rule, Json& json) {
  const bool windowed = config.sliding_window > 0;
  if (windowed) json["sliding_window"] = config.sliding_window;
  else if (rule == WindowRule::every_layer) json["sliding_window"] = nullptr;
  if (rule == WindowRule::later_layers || rule == WindowRule::all_if_used) json["use_sliding_window"] = windowed;
  if (rule != WindowRule::later_layers) return;
  json["max_window_layers"] = config.max_window_layers;
}

// Visits fields into a JSON object.
struct FieldWriter {
  Json& json;
  template <class T>
  void operator()(const Field& field, T& value) const {
    Json& place = json[std::string(field.name)];
    if constexpr (requires { value.has_value(); }) {
      if (value) (*this)(field, *value);
    } else if constexpr (HasFields<T>) value.visit_fields(FieldWriter{place});
    else if constexpr (NamedEnum<T>) place = enum_name(value);
    else place = value;
  }
};

// All fields, with the width of a head as config.json has it.
Json fields_of(ModelConfig config) {
  config.head_dim = config.head_size();
  Json json;
  config.visit_fields(FieldWriter{json});
  return json;
}

}  // namespace

std::string to_hf_config(const ModelConfig& config, const std::string& torch_dtype) {
  const Family& family = family_of(config.model_type, "model");
  Json json;
  json["architectures"] = {family.architecture};
  json["model_type"] = config.model_type;
  json["vocab_size"] = config.vocab_size;
  json["hidden_size"] = config.hidden_size;
  json["intermediate_size"] = config.intermediate_size;
  json["num_hidden_layers"] = config.num_hidden_layers;
  json["num_attention_heads"] = config.num_attention_heads;
  json["num_key_value_heads"] = config.num_key_value_heads;
  json["head_dim"] = config.head_size();
  json["hidden_act"] = "silu";
  json["max_position_embeddings"] = config.max_position_embeddings;
  json["rms_norm_eps"] = config.rms_norm_eps;
  json["initializer_range"] = config.initializer_range;
  json["tie_word_embeddings"] = config.tie_word_embeddings;
  if (family.says_attention_bias) json["attention_bias"] = config.attention_bias;
  if (family.says_mlp_bias) json["mlp_bias"] = config.mlp_bias;
  write_rope(config, json);
  write_window(config, family.window, json);
  write_special_tokens(config, json);
  if (family.has_blocks) write_blocks(config, json);
  if (ExpertsConfig experts = config.experts.value_or(ExpertsConfig()); config.experts)
    experts.visit_fields(FieldWriter{json});  // their names are those of config.json
  json["torch_dtype"] = torch_dtype;
  json["use_cache"] = true;
  return json.dump(2) + "\n";
}

void check_expressible(const ModelConfig& config, const std::string& who) {
  static_cast<void>(family_of(config.model_type, who));
  config.check(who);
  const Json wanted = fields_of(config);
  const ModelConfig parsed = parse_hf_config(to_hf_config(config, "bfloat16"), who);
  const Json read_back = fields_of(parsed);
  if (parsed.blocks != config.blocks)
    throw Error({who, "feed-forward widths that are multiples of 256", "others", "its config.json cannot say that"});
  for (const auto& [key, value] : wanted.items())
    if (value != read_back[key])
      throw Error({who, key + " " + read_back[key].dump() + " for model_type " + config.model_type, value.dump(),
                   "its config.json cannot say that"});
}

std::string generation_config(const ModelConfig& config) {
  Json json;
  json["_from_model_config"] = true;
  write_special_tokens(config, json);
  return json.dump(2) + "\n";
}

}  // namespace qad
