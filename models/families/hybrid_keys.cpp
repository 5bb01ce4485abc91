#include "models/families/hybrid_keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace qad {
namespace {

// Of the keys that are there, which must have one value.
template <class Read>
auto agreed(const ConfigReader& config_json, const std::vector<const char*>& keys, Read&& read) {
  const char* first = nullptr;
  for (const char* key : keys) {
    if (!config_json.says(key)) continue;
    if (first == nullptr) first = key;
    else if (read(key) != read(first)) config_json.refuse(key, fmt::format("{} as {}", key, first));
  }
  return read(first != nullptr ? first : keys.front());
}

}  // namespace

double agreed_number(const ConfigReader& config_json, const std::vector<const char*>& keys, double fallback) {
  return agreed(config_json, keys, [&](const char* key) { return config_json.at_least(0, key, fallback); });
}

std::int64_t agreed_size(const ConfigReader& config_json, const std::vector<const char*>& keys, std::int64_t fallback,
                         std::int64_t low) {
  return agreed(config_json, keys, [&](const char* key) { return config_json.whole(key, fallback, low); });
}

std::string letters_at(const ConfigReader& config_json, const char* key, const std::vector<LayerName>& names) {
  std::string letters;
  if (config_json.says(key) && config_json.list(key).empty()) config_json.refuse(key, std::string("names in ") + key);
  for (const std::string& name : config_json.texts(key)) {
    const auto found = std::ranges::find(names, name, &LayerName::name);
    if (found == names.end()) {
      std::vector<std::string_view> known;
      for (const LayerName& one : names) known.push_back(one.name);
      config_json.refuse(key, fmt::format("{} among {}", key, fmt::join(known, ", ")));
    }
    letters += found->letter;
  }
  return letters;
}

std::string every(std::int64_t interval, std::int64_t layers) {
  std::string letters;
  for (std::int64_t i = 1; i <= layers; ++i)
    letters += i % interval == 0 ? layer_letter::attention : layer_letter::linear_attention;
  return letters;
}

void read_time_steps(const ConfigReader& config_json, MambaConfig& mamba) {
  constexpr const char* kKey = "time_step_limit";
  if (!config_json.says(kKey)) return;
  const std::vector<ConfigReader::Json> limits = config_json.list(kKey);
  // transformers 5 writes an infinity as an object.
  const auto number = [&](const ConfigReader::Json& json) {
    if (json.is_object() && json.size() == 1 && json.contains("__float__") && json["__float__"] == "Infinity")
      return std::numeric_limits<double>::infinity();
    if (!json.is_number()) config_json.refuse(kKey, "two numbers for time_step_limit");
    return json.get<double>();
  };
  if (limits.size() != 2) config_json.refuse(kKey, "two numbers for time_step_limit");
  mamba.time_step_low = number(limits[0]);
  mamba.time_step_high = number(limits[1]);
  if (!(mamba.time_step_low >= 0) || !std::isfinite(mamba.time_step_low) ||
      !(mamba.time_step_high >= mamba.time_step_low))
    config_json.refuse(kKey, "a time_step_limit from a number of at least 0 to one above it");
}

void read_linear_attention(const ConfigReader& config_json, ModelConfig& config) {
  const auto size = [&](const char* key, std::int64_t fallback, std::int64_t low = 1) {
    return config_json.whole(key, fallback, low);
  };
  config.linear_attention = LinearAttentionConfig{.num_key_heads = size("linear_num_key_heads", 16),
                                                  .num_value_heads = size("linear_num_value_heads", 32),
                                                  .key_head_dim = size("linear_key_head_dim", 128),
                                                  .value_head_dim = size("linear_value_head_dim", 128),
                                                  .conv_kernel = size("linear_conv_kernel_dim", 4, 2)};
  const std::int64_t interval = size("full_attention_interval", 4);
  config.layer_pattern =
      letters_at(config_json, "layer_types",
                 {{"full_attention", layer_letter::attention}, {"linear_attention", layer_letter::linear_attention}});
  if (config.layer_pattern.empty()) config.layer_pattern = every(interval, config.num_hidden_layers);
}

void write_linear_attention(const ModelConfig& config, nlohmann::ordered_json& config_json) {
  const LinearAttentionConfig sizes = config.linear_attention.value_or(LinearAttentionConfig());
  config_json["linear_num_key_heads"] = sizes.num_key_heads;
  config_json["linear_num_value_heads"] = sizes.num_value_heads;
  config_json["linear_key_head_dim"] = sizes.key_head_dim;
  config_json["linear_value_head_dim"] = sizes.value_head_dim;
  config_json["linear_conv_kernel_dim"] = sizes.conv_kernel;
  std::vector<std::string> types;
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i)
    types.push_back(config.layer_kind(i) == layer_letter::attention ? "full_attention" : "linear_attention");
  config_json["layer_types"] = types;
}

void refuse_if_true(const ConfigReader& config_json, const std::vector<const char*>& keys) {
  for (const char* key : keys)
    if (config_json.flag(key, false)) config_json.refuse(key, std::string(key) + " to be false");
}

}  // namespace qad
