// Chooses and configures the loss of a training step. The arithmetic is one op, autograd/ops/fused_linear_loss.
#pragma once

#include <vector>

#include "autograd/ops/fused_linear_loss.h"
#include "data/text/batch.h"
#include "models/language_model.h"
#include "qad/loss/loss_config.h"

namespace qad {

[[nodiscard]] bool needs_teacher(const LossConfig& config);

/// How many tokens of a batch count: the valid ones against a teacher, those with a label for cross-entropy.
[[nodiscard]] std::int64_t counted_tokens(const LossConfig& config, const TokenBatch& batch);

/// A frozen model's hidden states for a batch and its head; `hidden`, if given, receives the first without what the
/// head makes of its input.
[[nodiscard]] TeacherHead frozen_head(LanguageModel& model, const TokenBatch& batch, Tensor* hidden = nullptr);

/// Σ row_weight·loss over the tokens of one (micro-)batch, with the distance of hidden states where it is asked for;
/// `rows` has the loss of the logits alone. `teacher` may be null for cross-entropy.
[[nodiscard]] FusedLoss weighted_loss(const LossConfig& config, LanguageModel& student, LanguageModel* teacher,
                                      const TokenBatch& batch, const std::vector<float>& row_weights);

/// The student's loss on one (micro-)batch: a sum over counted tokens, each weighted with 1/step_tokens, so that the
/// losses and gradients of a step's micro-batches add up to the mean over the whole step.
[[nodiscard]] FusedLoss batch_loss(const LossConfig& config, LanguageModel& student, LanguageModel* teacher,
                                   const TokenBatch& batch, std::int64_t step_tokens);

}  // namespace qad
