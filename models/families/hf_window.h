// What a config.json says of sliding windows: sliding_window, and which layers have one.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "models/families/config_reader.h"
#include "models/model_config.h"

namespace qad {

enum class WindowRule : std::uint8_t {
  none,
  every_layer,   ///< unless sliding_window is null
  if_said,       ///< every layer, if sliding_window is there
  later_layers,  ///< from max_window_layers on, if use_sliding_window is true
  all_if_used,   ///< every layer, if use_sliding_window is true
};

/// Sets sliding_window and max_window_layers; the sizes must be set. Refuses layer_types that say something else.
void read_window(const ConfigReader& config_json, WindowRule rule, ModelConfig& config);
void write_window(const ModelConfig& config, WindowRule rule, nlohmann::ordered_json& config_json);

}  // namespace qad
