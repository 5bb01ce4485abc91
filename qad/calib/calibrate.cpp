#include "qad/calib/calibrate.h"

#include "autograd/core/interrupt.h"
#include "autograd/ops/linear.h"

namespace qad {

void calibrate(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
               TensorScaleSource from) {
  const NoGradScope no_grad;
  quantizers.observe();
  for (const TokenBatch& batch : batches) {
    throw_if_stopped();
    // The head's own product is not needed: its quantizer only has to see its input.
    static_cast<void>(transformed(model.hidden_states(batch), model.head().input_transform));
  }
  quantizers.freeze(from);
}

}  // namespace qad
