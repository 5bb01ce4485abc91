// Tensors of a model folder that no layer reads and that go along into what is made of it, unchanged: heads that guess
// several tokens ahead (mtp.*), and layers behind the last one, which DeepSeek-V3 keeps them in.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/core/tensor.h"
#include "models/model_config.h"

namespace qad {

/// Whether a tensor of this name is of such a head, whatever the config.
[[nodiscard]] bool is_of_several_tokens(std::string_view name);
/// Whether a tensor of this name is one, in a model of this config.
[[nodiscard]] bool is_passenger(std::string_view name, const ModelConfig& config);

struct Passenger {
  std::string name;
  std::string dtype;  ///< as safetensors says it
  Tensor data;        ///< the mapped file's bytes
};
/// Those of a folder, by name; none where there are no safetensors.
[[nodiscard]] std::vector<Passenger> passengers_of(const std::filesystem::path& folder, const ModelConfig& config);

}  // namespace qad
