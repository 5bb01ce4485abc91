// The weights of a model folder: under which name each is stored, whether shape, type and values can be used, and what
// the folder holds beyond them.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "data/files/safetensors.h"
#include "models/import/stacked_experts.h"
#include "models/layer.h"
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

  /// Where a weight is in the files.
  struct Place {
    std::string name;
    std::optional<StackedPlace> stacked;  ///< among the experts of that tensor
    bool mxfp4 = false;                   ///< as mxfp4_blocks.h has it, under the names that belong to `name`
  };
  /// Checked by the files' headers alone: it is there once, of its shape, of a type to compute with. A base model's
  /// names (LlamaModel's) lack the "model." in front, and families know names that others use (Family::other_names); a
  /// tied model may store its one matrix under the head's name only; experts may be stacked (stacked_experts.h), and
  /// both may be in MXFP4 (mxfp4_blocks.h).
  [[nodiscard]] Place place_of(const ParameterSpec& spec);
  /// The weight itself, all values finite, also once they are rounded to `type`. FP64 is read as FP32.
  [[nodiscard]] Tensor load(const ParameterSpec& spec, WeightType type);
  /// Its bytes as the file has them, in its own type (of MXFP4: the codes'); checked as place_of does.
  [[nodiscard]] std::span<const std::byte> bytes_of(const ParameterSpec& spec);
  /// Throws if the folder has a head of its own although the config ties it to the embedding.
  void check_tied_head();
  [[nodiscard]] const SafetensorsFolder& files() const { return files_; }
  /// Logs what nobody asked for: tensors, and files that look like a part of the model.
  void tell_unused() const;

 private:
  [[noreturn]] void missing(const std::string& name) const;
  [[nodiscard]] std::vector<std::string> names_of(const std::string& name) const;
  [[nodiscard]] std::optional<Place> stacked_place(const ParameterSpec& spec) const;
  [[nodiscard]] Tensor stored_tensor(const Place& place, const ParameterSpec& spec) const;
  void check_header(const std::string& stored, const Shape& expected, bool loose) const;

  SafetensorsFolder files_;
  const ModelConfig& config_;
  std::set<std::string> used_;
  std::string embedding_;  ///< its name in the model
};

}  // namespace qad
