#include "qad/train/document_statistics.h"

#include <algorithm>
#include <cmath>
#include <compare>

namespace qad {

DocumentMean::Sum DocumentMean::total() const {
  Sum all;
  for (const auto& [document, sum] : sums_) {
    all.total += sum.total;
    all.count += sum.count;
  }
  return all;
}

double DocumentMean::mean() const {
  const Sum all = total();
  return all.count == 0 ? EvalFigures::kNone : all.total / static_cast<double>(all.count);
}

double DocumentMean::standard_error() const {
  if (sums_.size() < 2) return EvalFigures::kNone;
  const double center = mean();
  double squares = 0;
  for (const auto& [document, sum] : sums_) squares += std::pow(sum.total - center * static_cast<double>(sum.count), 2);
  const auto documents = static_cast<double>(sums_.size());
  return std::sqrt(squares * documents / (documents - 1)) / static_cast<double>(total().count);
}

Percentile percentile(std::vector<DocumentValue> values, double fraction) {
  if (values.empty()) return {};
  // A total order, so that a NaN does no harm but to the figure.
  std::ranges::sort(values, [](const auto& a, const auto& b) { return std::strong_order(a.value, b.value) < 0; });
  const auto count = static_cast<double>(values.size());
  const auto at = [&](double part) {
    return values[static_cast<std::size_t>(std::clamp(std::ceil(part * count), 1.0, count)) - 1].value;
  };
  Percentile result{at(fraction), EvalFigures::kNone};
  DocumentMean at_or_below;
  for (const DocumentValue& value : values) at_or_below.add(value.document, value.value <= result.value ? 1 : 0);
  const double error = at_or_below.standard_error();
  if (std::isnan(error)) return result;
  // Ties, and a percentile that is the largest value, would give an error of 0: the ends lie at other values.
  const auto by_value = [](const DocumentValue& one) { return one.value; };
  const auto first_tie = std::ranges::lower_bound(values, result.value, {}, by_value);
  const auto behind_ties = std::ranges::upper_bound(values, result.value, {}, by_value);
  double low = at(fraction - error), high = at(fraction + error);
  if (low == result.value && first_tie != values.begin()) low = std::prev(first_tie)->value;
  if (high == result.value && behind_ties != values.end()) high = behind_ties->value;
  const bool has_both = low < result.value && result.value < high;
  result.standard_error = (high - low) / (has_both ? 2 : 1);
  return result;
}

}  // namespace qad
