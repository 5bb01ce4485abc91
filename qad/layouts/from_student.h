// From a trained student to what exporters take: codes straight from its quantizers, everything else as it stands.
// Whole, or part by part where its values are not all in memory at once.
#pragma once

#include <filesystem>
#include <vector>

#include "models/language_model.h"
#include "qad/layouts/exporter.h"
#include "qad/quant/attach.h"

namespace qad {

/// What an export is made of, in the order of ExportModel. What is pointed to is the student's.
struct ExportParts {
  struct Layer {
    const LinearGroup* group = nullptr;
    const Linear* member = nullptr;
    const LinearQuantizers* quantizers = nullptr;  ///< null: nothing of it is quantized
  };
  std::vector<Layer> layers;
  ParameterList dense;  ///< all that is not in codes
  std::vector<const CacheQuantizers*> caches;
};
[[nodiscard]] ExportParts export_parts_of(LanguageModel& student, const QuantizerSet& quantizers);

/// The model without any of those: texts, the format of keys and values, passengers. As export_model_of says.
[[nodiscard]] ExportModel export_frame_of(const ModelConfig& config, const QuantizerSet& quantizers,
                                          const std::filesystem::path& config_folder);
/// A layer with its names and formats; codes and scales are those of its quantizers, which must be calibrated.
[[nodiscard]] ExportLinear export_linear_of(const ExportParts::Layer& layer);
[[nodiscard]] KeyValueScale export_scales_of(const CacheQuantizers& cache);
/// The same for who asks what an export will look like: codes and scales that mean nothing, but for whether these are
/// powers of two.
[[nodiscard]] ExportLinear outline_linear_of(const ExportParts::Layer& layer);
[[nodiscard]] KeyValueScale outline_scales_of(const CacheQuantizers& cache);

/// `quantizers` are those attached to `student`, frozen with scales from calibration. config.json comes from
/// `config_folder` with all its keys (the teacher's folder; empty: made from the student's config). Throws for a
/// student whose fused groups do not share their scales.
[[nodiscard]] ExportModel export_model_of(LanguageModel& student, const QuantizerSet& quantizers,
                                          const std::filesystem::path& config_folder);

}  // namespace qad
