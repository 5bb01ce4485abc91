// Calibration: the unquantized model reads some text, every quantizer keeps the largest magnitude that it saw, and its
// tensor scale follows from that; then each layer's algorithm (algorithms.h) finds what else there is.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "models/language_model.h"
#include "qad/calib/by_block.h"
#include "qad/calib/calibrate_config.h"
#include "qad/quant/attach.h"

namespace qad {

/// Observes over `batches`, then finds the scales as the rules of the quantizers say; tensor scales all come from
/// where `all` says, if it does. Of `config` what algorithms are asked for counts. After Stopped the quantizers still
/// observe what came before the batch that was stopped, or a part of it too, which they will see again.
void calibrate(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
               std::optional<TensorScaleSource> all = {}, const CalibrateConfig& config = {});

/// The same from a batch on, for quantizers that observe already; batch_done(batches done) after each. Where an
/// algorithm works by blocks (works_by_block) it begins anew and no batch is ever done.
void calibrate_further(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
                       std::size_t first, const std::function<void(std::size_t)>& batch_done,
                       std::optional<TensorScaleSource> all = {}, const CalibrateConfig& config = {});

/// The same for a model of which one part at a time is in memory, for quantizers that observe and have seen what came
/// before the first part: scales of inputs, keys and values are found, and where an algorithm works by blocks, all of
/// each part at its end. Those of other weights follow from their values alone.
void calibrate_in_parts(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
                        const CalibrateConfig& config, PartsInTurn& parts);

}  // namespace qad
