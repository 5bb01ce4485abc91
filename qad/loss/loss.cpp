#include "qad/loss/loss.h"

#include <algorithm>

#include "autograd/base/error.h"
#include "autograd/base/profile.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/row_distance.h"

namespace qad {
namespace {

kernels::RowLoss row_loss_of(LossKind kind) {
  switch (kind) {
    case LossKind::kl: return kernels::RowLoss::kl_forward;
    case LossKind::kl_reverse: return kernels::RowLoss::kl_reverse;
    case LossKind::logit_mse: return kernels::RowLoss::logit_mse;
    case LossKind::cross_entropy: return kernels::RowLoss::cross_entropy;
  }
  QAD_ASSERT(false);
  return kernels::RowLoss::kl_forward;
}

bool counts(const LossConfig& config, const TokenBatch& batch, std::size_t token) {
  return needs_teacher(config) ? batch.valid[token] != 0 : batch.labels[token] != kNoLabel;
}

}  // namespace

bool needs_teacher(const LossConfig& config) { return config.kind != LossKind::cross_entropy; }

std::int64_t counted_tokens(const LossConfig& config, const TokenBatch& batch) {
  std::int64_t count = 0;
  for (std::size_t token = 0; token < batch.ids.size(); ++token) count += counts(config, batch, token) ? 1 : 0;
  return count;
}

TeacherHead frozen_head(LanguageModel& model, const TokenBatch& batch, Tensor* hidden) {
  const NoGradScope no_grad;
  LinearGroup& head = model.head();
  const Linear& member = head.members.front();
  const Variable x = model.hidden_states(batch);
  if (hidden != nullptr) *hidden = x.value();
  return {head.input(x), member.weight->operand().result.operand};
}

FusedLoss batch_loss(const LossConfig& config, LanguageModel& student, LanguageModel* teacher, const TokenBatch& batch,
                     std::int64_t step_tokens) {
  QAD_ASSERT(step_tokens > 0);
  std::vector<float> weights(batch.ids.size());
  for (std::size_t token = 0; token < weights.size(); ++token)
    weights[token] = counts(config, batch, token) ? 1.0f / static_cast<float>(step_tokens) : 0.0f;
  return weighted_loss(config, student, teacher, batch, weights);
}

FusedLoss weighted_loss(const LossConfig& config, LanguageModel& student, LanguageModel* teacher,
                        const TokenBatch& batch, const std::vector<float>& row_weights) {
  QAD_ASSERT(teacher != nullptr || !needs_teacher(config));
  TeacherHead teacher_head;
  Tensor teacher_hidden;  // before the head's input slot
  if (needs_teacher(config)) {
    const ProfilePhase phase("teacher");
    teacher_head = frozen_head(*teacher, batch, config.hidden_weight > 0 ? &teacher_hidden : nullptr);
  }

  LinearGroup& head = student.head();
  const Linear& member = head.members.front();
  Variable student_hidden;
  const Variable hidden = [&] {
    const ProfilePhase phase("student");
    const Variable x = student.hidden_states(batch);
    if (teacher_hidden.defined()) student_hidden = x;
    return head.input(x);
  }();
  const ProfilePhase phase("head and loss");
  FusedLoss loss = fused_linear_loss(hidden, member.weight->operand(), needs_teacher(config) ? &teacher_head : nullptr,
                                     batch.labels, row_weights,
                                     {row_loss_of(config.kind), static_cast<float>(config.temperature),
                                      static_cast<std::size_t>(config.chunk_mebibytes) << 20});
  if (!teacher_hidden.defined()) return loss;
  const Variable distance = row_distance(student_hidden, teacher_hidden, row_weights);
  const auto weight = static_cast<float>(config.hidden_weight);
  loss.value += static_cast<double>(weight) * static_cast<double>(distance.value().item());
  loss.loss = add(loss.loss, scaled(distance, weight));
  return loss;
}

}  // namespace qad
