#include "autograd/ops/fused_linear_loss.h"

#include <algorithm>
#include <numeric>

#include "autograd/base/error.h"
#include "autograd/kernels/table.h"
#include "autograd/tape/gradient_products.h"

namespace qad {

namespace {

// Rows [begin, end) of what a head reads, in the form that it has.
Variable rows_of(const Variable& hidden, std::int64_t begin, std::int64_t end) {
  if (hidden.value().defined()) return Variable(hidden.value().slice(begin, end));
  std::vector<std::int64_t> rows(static_cast<std::size_t>(end - begin));
  std::iota(rows.begin(), rows.end(), begin);
  return Variable(hidden.operand()->gather(rows));
}

}  // namespace

std::int64_t logit_chunk_rows(std::size_t chunk_bytes, std::int64_t vocabulary, std::int64_t rows, int logit_matrices) {
  const auto row_bytes = static_cast<std::size_t>(vocabulary * logit_matrices) * sizeof(float);
  const auto fitting = static_cast<std::int64_t>(chunk_bytes / row_bytes) / 16 * 16;
  return std::clamp<std::int64_t>(rows, 16, std::max<std::int64_t>(fitting, 64));
}

FusedLoss fused_linear_loss(const Variable& hidden, const ParameterOperand& head_weight, const TeacherHead* teacher,
                            std::span<const std::int32_t> labels, std::span<const float> row_weights,
                            const FusedLossConfig& config) {
  const std::int64_t tokens = hidden.shape().rows();
  const std::int64_t vocabulary = head_weight.shape().rows();
  const bool against_teacher = config.kind != kernels::RowLoss::cross_entropy;
  QAD_ASSERT(against_teacher == (teacher != nullptr));
  QAD_ASSERT(static_cast<std::int64_t>(labels.size()) == tokens && labels.size() == row_weights.size());
  QAD_ASSERT(teacher == nullptr || teacher->weight->shape().rows() == vocabulary);

  const bool with_gradient = recording() && (hidden.needs_gradient() || head_weight.needs_gradient());

  FusedLoss result;
  result.rows.resize(labels.size());
  Tensor d_hidden;
  if (with_gradient && hidden.needs_gradient()) d_hidden = Tensor(hidden.shape());
  const std::int64_t step = logit_chunk_rows(config.chunk_bytes, vocabulary, tokens, against_teacher ? 2 : 1);
  const Tensor student_buffer({step, vocabulary});
  const KernelTable& kernel = kernel_table(student_buffer.device());
  const Tensor teacher_buffer = against_teacher ? Tensor({step, vocabulary}) : Tensor();
  for (std::int64_t begin = 0; begin < tokens; begin += step) {
    const std::int64_t end = std::min(tokens, begin + step);
    const auto first = static_cast<std::size_t>(begin);
    const Variable x = rows_of(hidden, begin, end);
    const Tensor logits = student_buffer.slice(0, end - begin);
    times_transposed(x, head_weight.values(), logits.data());
    if (against_teacher)
      times_transposed(rows_of(teacher->hidden, begin, end), *teacher->weight, teacher_buffer.data());
    kernel.row_loss(config.kind,
                    {end - begin, vocabulary, against_teacher ? teacher_buffer.data() : nullptr, labels.data() + first,
                     row_weights.data() + first, config.temperature},
                    with_gradient, logits.data(), result.rows.data() + first);
    if (!with_gradient) continue;
    const Tensor d = gradient_factor(logits);
    if (d_hidden.defined()) head_weight.values().multiply(d, false, d_hidden.slice(begin, end));
    if (head_weight.needs_gradient()) accumulate_weight_gradient(head_weight, d, gradient_factor(*x.operand()));
  }
  for (std::size_t t = 0; t < result.rows.size(); ++t)
    if (row_weights[t] != 0.0f) result.value += static_cast<double>(row_weights[t]) * result.rows[t];

  result.loss = record("fused_linear_loss", Tensor::full({1}, static_cast<float>(result.value)),
                       {hidden, head_weight.parameter}, [sink = hidden.sink(), d_hidden](const Tensor& d) {
                         QAD_ASSERT(d.item() == 1.0f);
                         if (sink != nullptr) sink->give(d_hidden);
                       });
  return result;
}

TokenFigures fused_linear_figures(const TeacherHead& student, const TeacherHead& teacher,
                                  std::span<const std::int32_t> labels, std::size_t chunk_bytes) {
  const std::int64_t tokens = student.hidden.shape().rows();
  const std::int64_t vocabulary = student.weight->shape().rows();
  QAD_ASSERT(teacher.hidden.shape().rows() == tokens && teacher.weight->shape().rows() == vocabulary);
  const auto count = static_cast<std::size_t>(tokens);
  TokenFigures figures{std::vector<double>(count), std::vector<double>(count), std::vector<double>(count),
                       std::vector<std::uint8_t>(count)};
  const std::int64_t step = logit_chunk_rows(chunk_bytes, vocabulary, tokens, 2);
  const Tensor student_logits({step, vocabulary});
  const Tensor teacher_logits({step, vocabulary});
  for (std::int64_t begin = 0; begin < tokens; begin += step) {
    const std::int64_t end = std::min(tokens, begin + step);
    const auto first = static_cast<std::size_t>(begin);
    times_transposed(rows_of(student.hidden, begin, end), *student.weight, student_logits.data());
    times_transposed(rows_of(teacher.hidden, begin, end), *teacher.weight, teacher_logits.data());
    kernel_table(student_logits.device())
        .row_figures(end - begin, vocabulary, student_logits.data(), teacher_logits.data(), labels.data() + first,
                     {figures.kl.data() + first, figures.cross_entropy.data() + first,
                      figures.teacher_cross_entropy.data() + first, figures.same_top1.data() + first});
  }
  return figures;
}

}  // namespace qad
