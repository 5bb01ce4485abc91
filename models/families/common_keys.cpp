#include "models/families/common_keys.h"

#include <nlohmann/json.hpp>
#include <string>

#include "models/limits.h"

namespace qad {
namespace {

using Json = ConfigReader::Json;

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

}  // namespace

void check_activation(const ConfigReader& config_json) {
  const std::string name = config_json.text("hidden_act", "silu");
  if (name != "silu" && name != "swish") config_json.refuse("hidden_act", "hidden_act silu");
}

std::int64_t read_layer_count(const ConfigReader& config_json, std::int64_t fallback) {
  constexpr const char* kKey = "num_hidden_layers";
  const std::int64_t layers = config_json.whole(kKey, fallback, 1);
  if (layers > kMostLayers)
    config_json.refuse(kKey, "at most " + std::to_string(kMostLayers) + " for num_hidden_layers",
                       "is config.json damaged?");
  return layers;
}

std::int64_t read_expert_count(const ConfigReader& config_json, std::int64_t fallback) {
  const auto count = [&](const char* key) { return config_json.whole(key, fallback, 1); };
  const std::int64_t experts = count(config_json.says("num_local_experts") ? "num_local_experts" : "num_experts");
  if (config_json.says("num_experts") && count("num_experts") != experts)
    config_json.refuse("num_experts", "as many num_experts as num_local_experts");
  return experts;
}

void read_numbers(const ConfigReader& config_json, ModelConfig& config, double default_epsilon) {
  config.rms_norm_eps = config_json.at_least(0, "rms_norm_eps", default_epsilon);
  config.initializer_range = config_json.at_least(0, "initializer_range", 0.02);
  config.tie_word_embeddings = config_json.flag("tie_word_embeddings", false);
}

void read_special_tokens(const ConfigReader& config_json, ModelConfig& config) {
  config.bos_token_id = config_json.whole("bos_token_id", -1, -1);
  config.eos_token_id = config_json.wholes("eos_token_id", -1);
  std::erase(config.eos_token_id, -1);  // is none
}

void write_special_tokens(const ModelConfig& config, Json& config_json) {
  config_json["bos_token_id"] = config.bos_token_id >= 0 ? Json(config.bos_token_id) : Json(nullptr);
  if (config.eos_token_id.empty()) config_json["eos_token_id"] = nullptr;
  else if (config.eos_token_id.size() == 1) config_json["eos_token_id"] = config.eos_token_id.front();
  else config_json["eos_token_id"] = config.eos_token_id;
}

Json fields_of(ModelConfig config) {
  config.head_dim = config.head_size();
  Json json;
  config.visit_fields(FieldWriter{json});
  return json;
}

}  // namespace qad
