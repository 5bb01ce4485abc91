// Keys of a config.json that mean the same in every family, for a family's `read` and `write` to call.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "models/families/config_reader.h"
#include "models/model_config.h"

namespace qad {

/// hidden_act must be silu, which is swish.
void check_activation(const ConfigReader& config_json);
/// rms_norm_eps, initializer_range and tie_word_embeddings.
void read_numbers(const ConfigReader& config_json, ModelConfig& config, double default_epsilon = 1e-6);
/// num_hidden_layers, of which no model has kMostLayers: what has a letter a layer need not be as long as a config
/// says.
[[nodiscard]] std::int64_t read_layer_count(const ConfigReader& config_json, std::int64_t fallback);
/// num_local_experts or num_experts, which must agree: transformers 5 writes the one where publishers write the other.
[[nodiscard]] std::int64_t read_expert_count(const ConfigReader& config_json, std::int64_t fallback);
/// bos_token_id, and eos_token_id: one id, several or none.
void read_special_tokens(const ConfigReader& config_json, ModelConfig& config);
void write_special_tokens(const ModelConfig& config, nlohmann::ordered_json& config_json);

/// Every field of a config under its name; head_dim is the width of a head.
[[nodiscard]] nlohmann::ordered_json fields_of(ModelConfig config);

}  // namespace qad
