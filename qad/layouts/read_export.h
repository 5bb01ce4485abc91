// An exported folder, ours or another program's, back in memory: as codes and scales, and as a model that runs on
// exactly the stored weights and quantizes its inputs with the stored scales. Ordinary checkpoints read as dense ones.
#pragma once

#include <filesystem>
#include <memory>

#include "models/language_model.h"
#include "qad/layouts/exporter.h"

namespace qad {

/// All tensors of a folder, and the JSON files that say what they mean.
[[nodiscard]] ExportFiles read_export_files(const std::filesystem::path& folder);

/// Files and layout recognised, unpacked. Errors name the folder, and the tensor at fault.
[[nodiscard]] ExportModel read_export(const std::filesystem::path& folder);

/// Whether a folder holds packed weights, so that it is to be read by read_export and not by load_model.
[[nodiscard]] bool is_packed_export(const std::filesystem::path& folder);

/// A frozen model of it, which keeps codes as they are. Throws if a tensor is missing or of another shape than
/// config.json asks for, and if layers that read the same input disagree on its scale.
[[nodiscard]] std::unique_ptr<LanguageModel> make_exported_model(ExportModel exported);

}  // namespace qad
