// block_configs of a Llama-Nemotron config.json: what each layer of a searched architecture has.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "models/families/config_reader.h"
#include "models/model_config.h"

namespace qad {

/// Sets blocks, and the sizes of the largest block as the model's; hidden_size and the heads must be set. Blocks that
/// are all alike need not be told, and are left out.
void read_blocks(const ConfigReader& config_json, ModelConfig& config);
/// Throws for blocks in the config of a family that has none.
void refuse_blocks(const ConfigReader& config_json, const ModelConfig& config);
/// Adds block_configs, and null for the sizes that they say.
void write_blocks(const ModelConfig& config, nlohmann::ordered_json& config_json);

}  // namespace qad
