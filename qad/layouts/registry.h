// The table of on-disk layouts, by the names that recipes and `qad export --format` use.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "qad/layouts/exporter.h"

namespace qad {

[[nodiscard]] std::span<const Exporter> exporters();
[[nodiscard]] std::vector<std::string_view> exporter_names();
/// An unknown name is an Error that lists the known ones.
[[nodiscard]] const Exporter& exporter(std::string_view name);

/// The layout of a folder that was written by this program or another: gguf if it has metadata of that kind, what its
/// hf_quant_config.json or its config.json's quantization_config says, or dense. An Error for a layout that none of the
/// exporters reads.
[[nodiscard]] const Exporter& exporter_of(const ExportFiles& files);

}  // namespace qad
