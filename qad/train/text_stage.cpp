#include "qad/train/text_stage.h"

#include <algorithm>

#include "autograd/base/profile.h"

namespace qad {

StepResult TextStage::run(std::int64_t step, AdamW& optimizer) {
  const std::int64_t micro = config_.micro_batch_size > 0 ? config_.micro_batch_size : config_.batch_size;
  std::vector<TokenBatch> batches;
  for (std::int64_t done = 0; done < config_.batch_size; done += micro) {
    const ProfileScope scope("data");
    batches.push_back(data_.next(std::min(micro, config_.batch_size - done)));
  }
  return train_step(config_, loss_, step, student_, teacher_, optimizer, batches);
}

}  // namespace qad
