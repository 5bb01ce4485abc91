#include "models/families/hf_window.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace qad {
namespace {

constexpr std::int64_t kDefaultWindow = 4096, kDefaultMaxWindowLayers = 28;  // of all families that have windows

bool is_of_all(WindowRule rule) { return rule == WindowRule::every_layer || rule == WindowRule::if_said; }

// What layer_types say must be what is read: all layers without a window, all with one, or the later ones with one.
void read_layer_types(const ConfigReader& read, WindowRule rule, ModelConfig& config) {
  const std::vector<std::string> types = read.texts("layer_types");
  if (!read.says("layer_types")) return;
  const auto first = std::ranges::find(types, "sliding_attention");
  const auto are_all = [](auto begin, auto end, const char* name) {
    return std::all_of(begin, end, [&](const std::string& type) { return type == name; });
  };
  const bool ordered = std::ssize(types) == config.num_hidden_layers &&
                       are_all(types.begin(), first, "full_attention") &&
                       are_all(first, types.end(), "sliding_attention");
  if (!ordered)
    read.refuse("layer_types", "layer_types of all layers, full_attention first and then sliding_attention",
                "other orders are not supported");
  const std::int64_t without = first - types.begin();
  if (without < config.num_hidden_layers && config.sliding_window == 0)
    read.refuse("layer_types", "full_attention alone in layer_types of a model without a sliding window");
  if (is_of_all(rule) && without > 0 && config.sliding_window > 0)
    read.refuse("layer_types", "sliding_attention in all layer_types, as sliding_window says");
  if (rule == WindowRule::later_layers) config.max_window_layers = without;
}

bool is_optional(WindowRule rule) { return rule == WindowRule::later_layers || rule == WindowRule::all_if_used; }

}  // namespace

void read_window(const ConfigReader& read, WindowRule rule, ModelConfig& config) {
  const bool windowed = rule == WindowRule::every_layer ||
                        (rule == WindowRule::if_said && read.says("sliding_window")) ||
                        (is_optional(rule) && read.flag("use_sliding_window", false));
  const bool is_null = read.has("sliding_window") && !read.says("sliding_window");
  if (windowed && !is_null) config.sliding_window = read.whole("sliding_window", kDefaultWindow, 1);
  if (rule == WindowRule::later_layers)
    config.max_window_layers = read.whole("max_window_layers", kDefaultMaxWindowLayers, 0);
  read_layer_types(read, rule, config);
}

void write_window(const ModelConfig& config, WindowRule rule, nlohmann::ordered_json& json) {
  const bool windowed = config.sliding_window > 0;
  if (windowed) json["sliding_window"] = config.sliding_window;
  else if (is_of_all(rule)) json["sliding_window"] = nullptr;
  if (is_optional(rule)) json["use_sliding_window"] = windowed;
  if (rule == WindowRule::later_layers) json["max_window_layers"] = config.max_window_layers;
}

}  // namespace qad
