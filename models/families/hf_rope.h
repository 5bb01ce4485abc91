// What a config.json says of rotary positions, in transformers' two dialects: v4 has rope_theta and rope_scaling, v5
// has rope_parameters with both. What the numbers mean is models/layers/rotary.h.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "models/families/config_reader.h"
#include "models/model_config.h"

namespace qad {

/// Sets rope_theta and rope_scaling; max_position_embeddings must be set. Refuses rules that are not here, keys that a
/// rule does not read, sections that disagree and numbers that make no frequencies.
void read_rope(const ConfigReader& config_json, ModelConfig& config);
/// Adds rope_theta and rope_scaling, which v4 and v5 read alike.
void write_rope(const ModelConfig& config, nlohmann::ordered_json& config_json);

}  // namespace qad
