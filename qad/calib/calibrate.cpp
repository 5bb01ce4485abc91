#include "qad/calib/calibrate.h"

#include <algorithm>

#include "autograd/base/interrupt.h"
#include "autograd/ops/linear.h"
#include "autograd/ranks/communicator.h"
#include "qad/calib/algorithms.h"
#include "qad/calib/smoothing.h"

namespace qad {
namespace {

struct Finders {
  FindScales find;
  PrepareBlock prepare;
};
Finders finders(const CalibrateConfig& config) {
  return {[&](const QuantizerSet& part, const ShowInputs& show_inputs) { find_scales(part, show_inputs, config); },
          [&](std::span<LinearGroup* const> groups, const QuantizerSet& part, const ShowInputs& show_inputs) {
            return smooth(groups, part, show_inputs, config);
          }};
}

}  // namespace

void calibrate(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
               std::optional<TensorScaleSource> all, const CalibrateConfig& config) {
  quantizers.observe();
  calibrate_further(
      model, quantizers, batches, 0, [](std::size_t) {}, all, config);
}

void calibrate_further(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
                       std::size_t first, const std::function<void(std::size_t)>& batch_done,
                       std::optional<TensorScaleSource> all, const CalibrateConfig& config) {
  if (works_by_block(quantizers)) {
    const auto [find, prepare] = finders(config);
    calibrate_by_block(model, quantizers, batches, all, find, prepare);
    return;
  }
  const NoGradScope no_grad;
  const Share own = share_of(std::ssize(batches), ranks().rank(), ranks().size());
  for (std::size_t i = std::max(first, static_cast<std::size_t>(own.begin)); i < static_cast<std::size_t>(own.end);
       ++i) {
    throw_if_stopped();
    // The head's own product is not needed: its quantizer only has to see its input.
    static_cast<void>(transformed(model.hidden_states(batches[i]), model.head().input_slot));
    batch_done(i + 1);
  }
  quantizers.share_observed();
  quantizers.end_observing(all);
  find_scales(quantizers, {}, config);
}

void calibrate_in_parts(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
                        const CalibrateConfig& config, PartsInTurn& parts) {
  if (works_by_block(quantizers)) {
    const auto [find, prepare] = finders(config);
    calibrate_by_block(model, quantizers, batches, find, prepare, parts);
    return;
  }
  observe_by_block(model, quantizers, batches, parts);
  quantizers.only([](const Quantizer& one) { return dynamic_cast<const WeightQuantizer*>(&one) == nullptr; })
      .end_observing();
  quantizers.set_observing(false);
}

}  // namespace qad
