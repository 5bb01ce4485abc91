// What a model family is: one row, filled in by the family's own file, which brings how its config.json is read and
// written, who builds it and what it is called in GGUF. registry.h has all rows.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "models/families/config_reader.h"
#include "models/language_model.h"

namespace qad {

struct GgufFamily;

/// Another name of the same tensors: `other` in place of `ours`, wherever that stands in a name.
struct OtherName {
  std::string_view ours, other;
};

struct Family {
  std::string_view model_type;
  std::string_view architecture;  ///< its class in transformers

  /// Of the keys that config_keys.cpp refuses in any other family: those that this one reads, or does what they say.
  std::span<const std::string_view> known_keys = {};
  /// Names under which a model's files may have its tensors beside their own.
  std::span<const OtherName> other_names = {};
  /// The class is none of transformers' own: config.json's auto_map names code that lies beside it, and what is here
  /// stands for that code.
  bool brings_code = false;
  /// config.json has one name, intermediate_size, for the width of experts and of other feed-forward layers.
  bool one_width = false;
  /// config.json says what each layer is: weights of layers behind the last are of one that it lost.
  bool says_each_layer = false;

  /// Sets everything but model_type from a config.json whose other keys are checked, with the family's own value for a
  /// key that is missing, and checks the sizes (ModelConfig::check). Throws, naming the key.
  void (*read)(const ConfigReader& config_json, ModelConfig& config);
  /// Adds what `read` reads, for transformers 4 and 5. The class, model_type and the type of the weights are there.
  void (*write)(const ModelConfig& config, nlohmann::ordered_json& config_json);

  std::unique_ptr<LanguageModel> (*make)(const ModelConfig&, const ParameterMaker&);

  const GgufFamily* gguf = nullptr;  ///< gguf_family.h; null: qad does not write it as GGUF
  std::string_view no_gguf = "";     ///< why, where llama.cpp is the reason
};

}  // namespace qad
