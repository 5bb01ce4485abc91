#include "qad/train/evaluator.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "autograd/ops/fused_linear_loss.h"
#include "qad/loss/loss.h"
#include "qad/train/document_statistics.h"
#include "qad/train/routing_figures.h"

namespace qad {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{32} << 20;

// What the head reads, and what layers of experts chose on the way there.
TeacherHead forward(LanguageModel& model, const TokenBatch& batch, RoutingFigures::Choices& choices) {
  choices.clear();
  const RoutingListener listener(
      model, [&](std::size_t /*layer*/, const Routing& routing) { choices.push_back(routing.experts); });
  return frozen_head(model, batch);
}

}  // namespace

EvalFigures evaluate(LanguageModel& student, LanguageModel* teacher, const std::vector<TokenBatch>& batches,
                     std::vector<LayerRouting>* routing) {
  const NoGradScope no_grad;
  DocumentMean kl, cross_entropy, agreement;
  std::vector<DocumentValue> all_kl;
  RoutingFigures routed(student, teacher);
  RoutingFigures::Choices choices, teacher_choices;
  EvalFigures result;
  for (const TokenBatch& batch : batches) {
    throw_if_stopped();
    const TeacherHead student_head = forward(student, batch, choices);
    const TeacherHead teacher_head = teacher != nullptr ? forward(*teacher, batch, teacher_choices) : student_head;
    routed.add(batch, choices, teacher_choices);
    const TokenFigures figures = fused_linear_figures(student_head, teacher_head, batch.labels, kChunkBytes);
    const auto require_logits = [&](double figure) {
      if (!std::isfinite(figure))
        throw NotFinite(
            {.who = fmt::format("{}{}: logits", student.label, teacher != nullptr ? " or " + teacher->label : ""),
             .expected = "finite values",
             .got = "an infinity or NaN",
             .hint = "the head's weights are damaged, or have diverged"});
    };
    for (std::size_t s = 0; s < batch.segments.size(); ++s) {
      for (std::int32_t t = batch.segments[s].begin; t < batch.segments[s].end; ++t) {
        const auto token = static_cast<std::size_t>(t);
        if (batch.labels[token] != kNoLabel) {
          require_logits(figures.cross_entropy[token]);
          cross_entropy.add(batch.document[s], figures.cross_entropy[token]);
        }
        if (batch.valid[token] == 0) continue;
        require_logits(figures.kl[token]);
        ++result.tokens;
        kl.add(batch.document[s], figures.kl[token]);
        agreement.add(batch.document[s], figures.same_top1[token]);
        all_kl.push_back({batch.document[s], figures.kl[token]});
      }
    }
  }
  if (routing != nullptr) *routing = routed.layers();
  routed.sum_up(result);
  result.documents = kl.documents();
  result.cross_entropy = cross_entropy.mean();
  result.cross_entropy_stderr = cross_entropy.standard_error();
  result.perplexity = std::exp(result.cross_entropy);
  result.perplexity_stderr = result.perplexity * result.cross_entropy_stderr;  // delta method: exp is its own slope
  if (teacher != nullptr) {
    result.kl_mean = kl.mean();
    result.kl_mean_stderr = kl.standard_error();
    const Percentile p99 = percentile(std::move(all_kl), 0.99);
    result.kl_p99 = p99.value;
    result.kl_p99_stderr = p99.standard_error;
    result.top1_agreement = agreement.mean();
    result.top1_stderr = agreement.standard_error();
  }
  return result;
}

double selection_score(const LossConfig& loss, const EvalFigures& figures) {
  const double score = needs_teacher(loss) ? figures.kl_mean : figures.cross_entropy;
  return std::isnan(score) ? std::numeric_limits<double>::infinity() : score;
}

}  // namespace qad
