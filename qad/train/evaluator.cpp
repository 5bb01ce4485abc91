#include "qad/train/evaluator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "autograd/ops/fused_linear_loss.h"
#include "autograd/ranks/communicator.h"
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

// What one batch gives: a figure of each token, and what its layers of experts chose.
struct BatchFigures {
  TokenFigures tokens;
  RoutingFigures::Choices choices, teacher_choices;
};

BatchFigures figures_of(LanguageModel& student, LanguageModel* teacher, const TokenBatch& batch) {
  BatchFigures figures;
  const TeacherHead student_head = forward(student, batch, figures.choices);
  const TeacherHead teacher_head =
      teacher != nullptr ? forward(*teacher, batch, figures.teacher_choices) : student_head;
  figures.tokens = fused_linear_figures(student_head, teacher_head, batch.labels, kChunkBytes);
  bool finite = true;
  for (std::size_t t = 0; t < batch.labels.size(); ++t)
    finite = finite && (batch.labels[t] == kNoLabel || std::isfinite(figures.tokens.cross_entropy[t])) &&
             (batch.valid[t] == 0 || std::isfinite(figures.tokens.kl[t]));
  if (!finite)
    throw NotFinite(
        {.who = fmt::format("{}{}: logits", student.label, teacher != nullptr ? " or " + teacher->label : ""),
         .expected = "finite values",
         .got = "an infinity or NaN",
         .hint = "the head's weights are damaged, or have diverged"});
  return figures;
}

// Their bytes on the way to another rank.
class Packer {
 public:
  template <class T>
  void add(const std::vector<T>& values) {
    const std::size_t count = values.size();
    bytes.append(reinterpret_cast<const char*>(&count), sizeof count);
    bytes.append(reinterpret_cast<const char*>(values.data()), count * sizeof(T));
  }
  void add(const BatchFigures& figures) {
    add(figures.tokens.kl);
    add(figures.tokens.cross_entropy);
    add(figures.tokens.same_top1);
    for (const RoutingFigures::Choices* choices : {&figures.choices, &figures.teacher_choices})
      for (const auto& layer : *choices) add(*layer);
  }
  std::string bytes;
};

class Unpacker {
 public:
  explicit Unpacker(const std::string& bytes) : bytes_(bytes) {}
  template <class T>
  std::vector<T> next() {
    std::size_t count = 0;
    take(&count, sizeof count);
    std::vector<T> values(count);
    if (count > 0) take(values.data(), count * sizeof(T));
    return values;
  }
  BatchFigures next(std::size_t layers, std::size_t teacher_layers) {
    BatchFigures figures;
    figures.tokens.kl = next<double>();
    figures.tokens.cross_entropy = next<double>();
    figures.tokens.same_top1 = next<std::uint8_t>();
    const auto choices = [&](std::size_t count, RoutingFigures::Choices& into) {
      for (std::size_t i = 0; i < count; ++i)
        into.push_back(std::make_shared<const std::vector<std::int32_t>>(next<std::int32_t>()));
    };
    choices(layers, figures.choices);
    choices(teacher_layers, figures.teacher_choices);
    return figures;
  }
  [[nodiscard]] bool at_end() const { return at_ == bytes_.size(); }

 private:
  void take(void* into, std::size_t bytes) {
    std::memcpy(into, bytes_.data() + at_, bytes);
    at_ += bytes;
  }
  const std::string& bytes_;
  std::size_t at_ = 0;
};

// Calls visit(batch, its figures) for all batches in order. Each rank computes a share of them, and all see all.
template <class Visit>
void each_batch(LanguageModel& student, LanguageModel* teacher, const std::vector<TokenBatch>& batches, Visit visit) {
  Communicator& all = ranks();
  const Share own = share_of(std::ssize(batches), all.rank(), all.size());
  Packer packer;
  std::string not_finite;
  try {
    for (auto i = static_cast<std::size_t>(own.begin); i < static_cast<std::size_t>(own.end); ++i) {
      throw_if_stopped();
      const BatchFigures figures = figures_of(student, teacher, batches[i]);
      if (all.is_alone()) visit(batches[i], figures);
      else packer.add(figures);
    }
  } catch (const NotFinite& error) {
    if (all.is_alone()) throw;
    not_finite = error.what();
  }
  if (all.is_alone()) return;
  for (const std::string& error : all_gather(not_finite, "what is not finite"))
    if (!error.empty()) throw NotFinite(Problem{.got = error});
  const std::size_t layers = expert_layers(student).size();
  const std::size_t teacher_layers = teacher == nullptr ? 0 : expert_layers(*teacher).size();
  std::size_t i = 0;
  for (const std::string& bytes : all_gather(packer.bytes, "figures of held-out text"))
    for (Unpacker unpacker(bytes); !unpacker.at_end(); ++i) visit(batches[i], unpacker.next(layers, teacher_layers));
  QAD_ASSERT(i == batches.size());
}

}  // namespace

EvalFigures evaluate(LanguageModel& student, LanguageModel* teacher, const std::vector<TokenBatch>& batches,
                     std::vector<LayerRouting>* routing) {
  const NoGradScope no_grad;
  DocumentMean kl, cross_entropy, agreement;
  std::vector<DocumentValue> all_kl;
  RoutingFigures routed(student, teacher);
  EvalFigures result;
  each_batch(student, teacher, batches, [&](const TokenBatch& batch, const BatchFigures& figures) {
    routed.add(batch, figures.choices, figures.teacher_choices);
    for (std::size_t s = 0; s < batch.segments.size(); ++s) {
      for (std::int32_t t = batch.segments[s].begin; t < batch.segments[s].end; ++t) {
        const auto token = static_cast<std::size_t>(t);
        if (batch.labels[token] != kNoLabel) cross_entropy.add(batch.document[s], figures.tokens.cross_entropy[token]);
        if (batch.valid[token] == 0) continue;
        ++result.tokens;
        kl.add(batch.document[s], figures.tokens.kl[token]);
        agreement.add(batch.document[s], figures.tokens.same_top1[token]);
        all_kl.push_back({batch.document[s], figures.tokens.kl[token]});
      }
    }
  });
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
