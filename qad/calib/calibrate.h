// Max calibration: the unquantized model reads some text, every quantizer keeps the largest magnitude that it saw, and
// its tensor scale follows from that.
#pragma once

#include <vector>

#include "models/language_model.h"
#include "qad/quant/attach.h"

namespace qad {

/// Observes over `batches`, then freezes the scales as `from` says. After Stopped the quantizers still observe.
void calibrate(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
               TensorScaleSource from);

}  // namespace qad
