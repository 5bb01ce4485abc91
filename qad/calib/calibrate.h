// Max calibration: the unquantized model reads some text, every quantizer keeps the largest magnitude that it saw, and
// its tensor scale follows from that.
#pragma once

#include <functional>
#include <vector>

#include "models/language_model.h"
#include "qad/quant/attach.h"

namespace qad {

/// Observes over `batches`, then freezes the scales as `from` says. `stop` is asked between batches: when it says yes,
/// the result is false and the quantizers still observe.
bool calibrate(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
               TensorScaleSource from, const std::function<bool()>& stop = {});

}  // namespace qad
