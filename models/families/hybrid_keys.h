// Keys of config.json that families with recurrent layers share: which layer is what, sizes of recurrences.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "models/families/config_reader.h"
#include "models/model_config.h"

namespace qad {

/// The first of these keys that is there, and that the others agree with; `fallback` where none is.
[[nodiscard]] double agreed_number(const ConfigReader& config_json, const std::vector<const char*>& keys,
                                   double fallback);
[[nodiscard]] std::int64_t agreed_size(const ConfigReader& config_json, const std::vector<const char*>& keys,
                                       std::int64_t fallback, std::int64_t low = 1);

struct LayerName {
  const char* name;  ///< in a list of the file
  char letter;       ///< layer_letter
};
/// A list of names under `key` as a pattern of letters; empty where the key is not there.
[[nodiscard]] std::string letters_at(const ConfigReader& config_json, const char* key,
                                     const std::vector<LayerName>& names);
/// Attention in every `interval`-th layer, linear attention in the others.
[[nodiscard]] std::string every(std::int64_t interval, std::int64_t layers);
/// [low, high] of time steps, the high one maybe infinite.
void read_time_steps(const ConfigReader& config_json, MambaConfig& mamba);

/// linear_num_key_heads … of gated DeltaNet.
void read_linear_attention(const ConfigReader& config_json, ModelConfig& config);
void write_linear_attention(const ModelConfig& config, nlohmann::ordered_json& config_json);

/// Refuses a key that says anything but false or null.
void refuse_if_true(const ConfigReader& config_json, const std::vector<const char*>& keys);

}  // namespace qad
