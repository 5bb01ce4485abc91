// Max calibration: the unquantized model reads some text, every quantizer keeps the largest magnitude that it saw, and
// its tensor scale follows from that.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "models/language_model.h"
#include "qad/quant/attach.h"

namespace qad {

/// Observes over `batches`, then freezes the scales as `from` says. After Stopped the quantizers still observe what
/// came before the batch that was stopped, or a part of it too, which they will see again.
void calibrate(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
               TensorScaleSource from);

/// The same from a batch on, for quantizers that observe already; batch_done(batches done) after each.
void calibrate_further(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
                       std::size_t first, TensorScaleSource from, const std::function<void(std::size_t)>& batch_done);

}  // namespace qad
