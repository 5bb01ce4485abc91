// generation_config.json of Hugging Face model folders: which tokens end a text and how the model's makers write one,
// as transformers' generate takes them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "models/model_config.h"

namespace qad {

/// The end tokens of a generation_config.json (one id, a list, or none), which count in place of those of config.json;
/// `who` names the file in errors. A warning says so where it names none and config.json does.
void use_end_tokens(const std::string& generation_config, const std::string& who, ModelConfig& config);

/// How a folder asks for text to be written. The numbers count where it samples.
struct GenerationSettings {
  bool samples = false;
  double temperature = 1.0;
  std::int64_t top_k = 50;  ///< 0: all
  double top_p = 1.0;
  std::vector<std::string> ignored;  ///< "key value" of what would change the text and nothing here does
};
/// From generation_config.json, else from config.json, where older models have it; the defaults without either. Throws
/// Error, naming file and key, for values that transformers can't use.
[[nodiscard]] GenerationSettings read_generation_settings(const std::filesystem::path& folder);

}  // namespace qad
