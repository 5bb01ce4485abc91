#include "qad/calib/calibrate.h"

#include "autograd/ops/linear.h"

namespace qad {

bool calibrate(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
               TensorScaleSource from, const std::function<bool()>& stop) {
  const NoGradScope no_grad;
  quantizers.observe();
  for (const TokenBatch& batch : batches) {
    if (stop && stop()) return false;
    // The head's own product is not needed: its quantizer only has to see its input.
    static_cast<void>(transformed(model.hidden_states(batch), model.head().input_transform));
  }
  quantizers.freeze(from);
  return true;
}

}  // namespace qad
