// Model folders in Hugging Face's layout: config.json and safetensors, in and out.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/import/stored_weights.h"
#include "models/language_model.h"

namespace qad {

/// The config of a folder of ordinary weights; any other folder is an Error.
[[nodiscard]] ModelConfig plain_config_of(const std::filesystem::path& folder);
/// A frozen model from a folder. Weights of the type that is wanted stay in the mapped files: no copy is made, and all
/// processes that use the model share its memory. A tensor that is missing, of another shape or of no floating type,
/// and a value that is not finite or not once it is rounded to `type`, is an error that names file and tensor; what the
/// folder holds and the model has no place for is logged.
[[nodiscard]] std::unique_ptr<LanguageModel> load_model(const std::filesystem::path& folder, WeightType type);
/// Throws what load_model would, its looks at values apart, without reading a weight.
void check_model(const std::filesystem::path& folder);
/// A model to train that starts from the values of another one (FP32 masters).
[[nodiscard]] std::unique_ptr<LanguageModel> trainable_copy(LanguageModel& model);
/// A model to train with fresh weights: normal with `initializer_range`, norms one; o and down are scaled by
/// 1/sqrt(2·layers) (GPT-2).
[[nodiscard]] std::unique_ptr<LanguageModel> initialize_model(const ModelConfig& config, std::uint64_t seed);

/// Writes config.json, generation_config.json and model.safetensors in BF16 or FP32.
void save_model(const std::filesystem::path& folder, LanguageModel& model, DType dtype);

}  // namespace qad
