#include "models/import/passengers.h"

#include <algorithm>
#include <charconv>

#include "data/files/safetensors.h"

namespace qad {
namespace fs = std::filesystem;

bool is_of_several_tokens(std::string_view name) { return name.starts_with("mtp.") || name.starts_with("model.mtp."); }

bool is_passenger(std::string_view name, const ModelConfig& config) {
  if (is_of_several_tokens(name)) return true;
  // The first "layers" of a name counts the model's own: model.layers.61.mlp.up_proj.weight
  constexpr std::string_view kLayers = "layers.";
  std::size_t at = name.find(kLayers);
  while (at != std::string_view::npos && at > 0 && name[at - 1] != '.') at = name.find(kLayers, at + 1);
  if (at == std::string_view::npos) return false;
  const char* const end = name.data() + name.size();
  std::int64_t layer = 0;
  const auto [stop, failure] = std::from_chars(name.data() + at + kLayers.size(), end, layer);
  return failure == std::errc() && stop != end && *stop == '.' && layer >= config.num_hidden_layers;
}

std::vector<Passenger> passengers_of(const fs::path& folder, const ModelConfig& config) {
  if (!fs::exists(folder / "model.safetensors") && !fs::exists(folder / "model.safetensors.index.json")) return {};
  const SafetensorsFolder files(folder);
  std::vector<Passenger> found;
  for (const std::string& name : files.names())
    if (is_passenger(name, config)) found.push_back({name, files.info(name).dtype, files.tensor(name)});
  return found;
}

}  // namespace qad
