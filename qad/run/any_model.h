// Any model folder for reading: an ordinary one, or an export with packed weights.
#pragma once

#include <filesystem>
#include <memory>

#include "models/language_model.h"

namespace qad {

/// A frozen model with its weights as stored; a packed export quantizes its inputs as it says. An export of qad is
/// checked whole first (qad/layouts/export_marker.h).
[[nodiscard]] std::unique_ptr<LanguageModel> load_any_model(const std::filesystem::path& folder);

/// The folder that is meant: of an export's model.gguf the one where it lies, else the path itself.
[[nodiscard]] std::filesystem::path model_folder(const std::filesystem::path& path);

}  // namespace qad
