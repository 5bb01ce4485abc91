// The weights of a model folder: under which name each is stored, whether shape, type and values can be used, and what
// the folder holds beyond them.
#pragma once

#include <set>
#include <string>

#include "data/files/safetensors.h"
#include "models/model_config.h"

namespace qad {

/// The type in which frozen weights are kept in memory.
enum class WeightType : std::uint8_t { bf16, file, f32 };
constexpr auto enum_names(WeightType) {
  return std::to_array<EnumName<WeightType>>(
      {{WeightType::bf16, "bf16"}, {WeightType::file, "file"}, {WeightType::f32, "f32"}});
}

class StoredWeights {
 public:
  StoredWeights(const std::filesystem::path& folder, const ModelConfig& config) : files_(folder), config_(config) {}

  /// The name of a weight in the files, checked by their headers alone: it is there once, of this shape, of a type to
  /// compute with. A base model's names (LlamaModel's) lack the "model." in front; a tied model may store its one
  /// matrix under the head's name only.
  [[nodiscard]] std::string stored_name(const std::string& name, const Shape& shape);
  /// The weight itself, all values finite, also once they are rounded to `type`. FP64 is read as FP32.
  [[nodiscard]] Tensor load(const std::string& name, const Shape& shape, WeightType type);
  /// Throws if the folder has a head of its own although the config ties it to the embedding.
  void check_tied_head();
  /// Logs what nobody asked for: tensors, and files that look like a part of the model.
  void tell_unused() const;

 private:
  [[noreturn]] void missing(const std::string& name) const;

  SafetensorsFolder files_;
  const ModelConfig& config_;
  std::set<std::string> used_;
};

}  // namespace qad
