// Calibration: the unquantized model reads some text, every quantizer keeps the largest magnitude that it saw, and its
// tensor scale follows from that; then the algorithm (algorithms.h) finds what else there is.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "models/language_model.h"
#include "qad/calib/calibrate_config.h"
#include "qad/quant/attach.h"

namespace qad {

struct CalibrationRules {
  TensorScaleSource from = TensorScaleSource::calibration;
  CalibrationKind algorithm = CalibrationKind::max;
};

/// Observes over `batches`, then finds the scales as `rules` say. After Stopped the quantizers still observe what
/// came before the batch that was stopped, or a part of it too, which they will see again.
void calibrate(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
               const CalibrationRules& rules);

/// The same from a batch on, for quantizers that observe already; batch_done(batches done) after each.
void calibrate_further(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
                       std::size_t first, const CalibrationRules& rules,
                       const std::function<void(std::size_t)>& batch_done);

}  // namespace qad
