// From a trained student to what exporters take: codes straight from its quantizers, everything else as it stands.
#pragma once

#include <filesystem>

#include "models/language_model.h"
#include "qad/layouts/exporter.h"
#include "qad/quant/attach.h"

namespace qad {

/// `quantizers` are those attached to `student`, frozen with scales from calibration. config.json comes from
/// `config_folder` with all its keys (the teacher's folder; empty: made from the student's config). Throws for a
/// student whose fused groups do not share their scales.
[[nodiscard]] ExportModel export_model_of(LanguageModel& student, const QuantizerSet& quantizers,
                                          const std::filesystem::path& config_folder);

}  // namespace qad
