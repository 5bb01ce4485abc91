// One optimizer step, readable top to bottom.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "autograd/optim/adamw.h"
#include "models/language_model.h"
#include "qad/loss/loss.h"
#include "qad/train/events.h"
#include "qad/train/train_config.h"

namespace qad {

struct StepResult {
  bool skipped = false;  ///< nothing was updated, because of `reason`
  std::string reason;    ///< what was not finite, or that no token counts
  double loss = 0;       ///< mean over the step's counted tokens
  double gradient_norm = 0;
  double learning_rate = 0;
  std::int64_t tokens = 0;  ///< counted
  std::optional<RolloutFigures> rollout;
};

/// How many micro-batches each of a step's shards has, in their order.
using ShardSizes = std::vector<std::size_t>;

/// Which of a step's micro-batches this rank computes: [begin, end).
[[nodiscard]] Share own_batches(const ShardSizes& shards);

/// One update of step `step` (1-based): forward(i) and backward of each micro-batch, shard by shard, clipping, AdamW.
/// The result's loss is the sum of theirs (gradient_tree.h: shards are a power of two, and their sums a tree); it has
/// no tokens. Each rank calls forward for own_batches(shards). Stopped leaves gradients behind, and nothing else.
[[nodiscard]] StepResult update(const TrainConfig& config, std::int64_t step, LanguageModel& student, AdamW& optimizer,
                                const ShardSizes& shards, const std::function<FusedLoss(std::size_t)>& forward);

/// One update from text, the mean over all micro-batches' counted tokens. `teacher` may be null for
/// cross-entropy. No `shards`: one of all.
[[nodiscard]] StepResult train_step(const TrainConfig& config, const LossConfig& loss, std::int64_t step,
                                    LanguageModel& student, LanguageModel* teacher, AdamW& optimizer,
                                    const std::vector<TokenBatch>& micro_batches, const ShardSizes& shards = {});

}  // namespace qad
