#include "qad/train/evaluator.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "autograd/ops/fused_linear_loss.h"
#include "qad/loss/loss.h"

namespace qad {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{32} << 20;

// A mean over tokens whose error is estimated over documents, because the tokens of a document are not independent.
class DocumentMean {
 public:
  void add(std::int64_t document, double value) {
    Sum& sum = sums_[document];
    sum.total += value;
    ++sum.count;
  }
  [[nodiscard]] double mean() const {
    const Sum all = total();
    return all.count == 0 ? EvalFigures::kNone : all.total / static_cast<double>(all.count);
  }
  /// Of the ratio (sum of values)/(sum of counts), linearised (Cochran, Sampling Techniques, section 6.3).
  [[nodiscard]] double standard_error() const {
    if (sums_.size() < 2) return EvalFigures::kNone;
    const double center = mean();
    double squares = 0;
    for (const auto& [document, sum] : sums_)
      squares += std::pow(sum.total - center * static_cast<double>(sum.count), 2);
    const auto documents = static_cast<double>(sums_.size());
    return std::sqrt(squares * documents / (documents - 1)) / static_cast<double>(total().count);
  }
  [[nodiscard]] std::int64_t documents() const { return static_cast<std::int64_t>(sums_.size()); }

 private:
  struct Sum {
    double total = 0;
    std::int64_t count = 0;
  };
  [[nodiscard]] Sum total() const {
    Sum all;
    for (const auto& [document, sum] : sums_) {
      all.total += sum.total;
      all.count += sum.count;
    }
    return all;
  }
  std::map<std::int64_t, Sum> sums_;
};

// The value below which 99 % of the tokens lie (nearest rank).
double percentile99(std::vector<double> values) {
  if (values.empty()) return EvalFigures::kNone;
  const auto rank = static_cast<std::size_t>(std::ceil(0.99 * static_cast<double>(values.size()))) - 1;
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(rank));
  return values[rank];
}

}  // namespace

EvalFigures evaluate(LanguageModel& student, LanguageModel* teacher, const std::vector<TokenBatch>& batches,
                     const std::function<bool()>& stop) {
  const NoGradScope no_grad;
  DocumentMean kl, cross_entropy, agreement;
  std::vector<double> all_kl;
  EvalFigures result;
  for (const TokenBatch& batch : batches) {
    if (stop && stop()) return result;
    const TeacherHead student_head = frozen_head(student, batch);
    const TeacherHead teacher_head = teacher != nullptr ? frozen_head(*teacher, batch) : student_head;
    const TokenFigures figures = fused_linear_figures(student_head, teacher_head, batch.labels, kChunkBytes);
    for (std::size_t s = 0; s < batch.segments.size(); ++s) {
      for (std::int32_t t = batch.segments[s].begin; t < batch.segments[s].end; ++t) {
        const auto token = static_cast<std::size_t>(t);
        if (batch.labels[token] != kNoLabel) cross_entropy.add(batch.document[s], figures.cross_entropy[token]);
        if (batch.valid[token] == 0) continue;
        ++result.tokens;
        kl.add(batch.document[s], figures.kl[token]);
        agreement.add(batch.document[s], figures.same_top1[token]);
        all_kl.push_back(figures.kl[token]);
      }
    }
  }
  result.documents = kl.documents();
  result.cross_entropy = cross_entropy.mean();
  result.cross_entropy_stderr = cross_entropy.standard_error();
  result.perplexity = std::exp(result.cross_entropy);
  if (teacher != nullptr) {
    result.kl_mean = kl.mean();
    result.kl_mean_stderr = kl.standard_error();
    result.kl_p99 = percentile99(std::move(all_kl));
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
