#include "qad/train/text_stage.h"

#include <algorithm>

#include "autograd/base/profile.h"

namespace qad {

StepResult TextStage::run(std::int64_t step, AdamW& optimizer) {
  const std::int64_t of_shard = config_.batch_size / config_.shards;
  const std::int64_t micro = config_.micro_batch_size > 0 ? config_.micro_batch_size : of_shard;
  std::vector<TokenBatch> batches;
  ShardSizes shards;
  for (std::int64_t shard = 0; shard < config_.shards; ++shard) {
    const std::size_t before = batches.size();
    for (std::int64_t done = 0; done < of_shard; done += micro) {
      const ProfileScope scope("data");
      batches.push_back(data_.next(std::min(micro, of_shard - done)));
    }
    shards.push_back(batches.size() - before);
  }
  return train_step(config_, loss_, step, student_, teacher_, optimizer, batches, shards);
}

}  // namespace qad
