// config.json of Hugging Face model folders, read into a ModelConfig and written from one.
#pragma once

#include <filesystem>
#include <string>

#include "models/model_config.h"

namespace qad {

/// Parses config.json as transformers reads it, keys that are missing or null included; `who` names the file in errors.
/// Refuses families and features that no code here stands for, and values that make no model.
[[nodiscard]] ModelConfig parse_hf_config(const std::string& json, const std::string& who);
/// A folder's config.json, with the end tokens of its generation_config.json, where it has one.
[[nodiscard]] ModelConfig read_hf_config(const std::filesystem::path& folder);
/// Throws (ExitCode::usage) where there is no folder.
void check_model_folder(const std::filesystem::path& folder);
/// What to do about a folder that is not there and reads like a name or an address on the Hugging Face hub, or begins
/// with ~; empty for any other.
[[nodiscard]] std::string download_hint(const std::filesystem::path& folder);
/// Throws if a folder says that its weights are packed, and logs if it brings code of its own, which nothing here runs.
void check_plain_model(const std::filesystem::path& folder);
/// Throws, naming `who` and the key, for sizes that do not fit together or that no config.json of this family says: a
/// model of them could be trained and not stored.
void check_expressible(const ModelConfig& config, const std::string& who);
/// The JSON that transformers v4 and v5 read, for weights of type `torch_dtype` ("bfloat16", "float32").
[[nodiscard]] std::string to_hf_config(const ModelConfig& config, const std::string& torch_dtype);

/// generation_config.json: the tokens that start and end a text.
[[nodiscard]] std::string generation_config(const ModelConfig& config);

}  // namespace qad
