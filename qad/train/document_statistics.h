// Figures over tokens whose standard errors are estimated over documents, because the tokens of one document are not
// independent: the documents are the sample, drawn by cluster sampling.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "qad/train/events.h"

namespace qad {

/// A mean over tokens.
class DocumentMean {
 public:
  void add(std::int64_t document, double value) {
    Sum& sum = sums_[document];
    sum.total += value;
    ++sum.count;
  }
  /// Not a number (EvalFigures::kNone) without values.
  [[nodiscard]] double mean() const;
  /// Of the ratio (sum of values)/(sum of counts), linearised (Cochran, Sampling Techniques, section 6.3). Not a number
  /// with fewer than two documents.
  [[nodiscard]] double standard_error() const;
  [[nodiscard]] std::int64_t documents() const { return static_cast<std::int64_t>(sums_.size()); }

 private:
  struct Sum {
    double total = 0;
    std::int64_t count = 0;
  };
  [[nodiscard]] Sum total() const;
  std::map<std::int64_t, Sum> sums_;
};

struct DocumentValue {
  std::int64_t document;
  double value;
};
struct Percentile {
  double value = EvalFigures::kNone;  ///< below or at it lies the fraction asked for (nearest rank)
  double standard_error = EvalFigures::kNone;
};
/// By Woodruff (1952), "Confidence intervals for medians and other position measures", JASA 47: the fraction of tokens
/// at or below the percentile is a mean over tokens with a standard error s over documents; half the distance between
/// the values at `fraction` - s and `fraction` + s is the percentile's. Where many tokens share the percentile's value
/// (documents that begin alike do), s may not reach beyond them: the next other value counts then, since the estimate
/// is no surer than that. No value lies beyond the largest, so where 1 - `fraction` is no more than s it is an
/// underestimate: percentiles that far out need more documents. 0 only where all values are the same.
[[nodiscard]] Percentile percentile(std::vector<DocumentValue> values, double fraction);

}  // namespace qad
