// Matrices that are two in GGUF (models/families/gguf_family.h), there and back. Blocks lie along rows, so that codes
// follow them; only what is transposed has to be dense.
#pragma once

#include "models/families/gguf_family.h"
#include "qad/layouts/exporter.h"

namespace qad {

/// Whether blocks of the module's rows would not be blocks there.
[[nodiscard]] bool is_transposed(const GgufFamily& family, const std::string& module);
[[nodiscard]] ExportModel with_splits(const ExportModel& model, const GgufFamily& family, const ModelConfig& config);
/// The inverse; throws, naming the part, where one is missing or does not fit.
void join_splits(ExportModel& model, const GgufFamily& family, const ModelConfig& config);

}  // namespace qad
