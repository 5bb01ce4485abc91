// Some columns of a matrix as the input of an op: a projection that makes several things at once is read in place.
#pragma once

#include <vector>

#include "autograd/tape/variable.h"

namespace qad {

/// Columns [begin, end) of x [T, C]. An op that reads them adds to these columns of x's gradient alone (columns_sink).
struct Columns {
  Variable x;
  std::int64_t begin = 0, end = 0;

  /// All of x.
  Columns(Variable whole)  // NOLINT(google-explicit-constructor)
      : x(std::move(whole)), end(x.shape().cols()) {}
  Columns(Variable source, std::int64_t first, std::int64_t last) : x(std::move(source)), begin(first), end(last) {}

  [[nodiscard]] std::int64_t width() const { return end - begin; }
  [[nodiscard]] std::int64_t stride() const { return x.shape().cols(); }  ///< from row to row
  [[nodiscard]] const float* data() const { return x.value().data() + begin; }
};

/// The whole gradient [rows, cols] of what columns were read from, with zeros where nothing was added yet.
[[nodiscard]] Tensor gradient_to_add_to(GradientSink& sink, std::int64_t rows, std::int64_t cols);

struct ColumnRange {
  std::int64_t begin = 0, end = 0;
};
/// These columns of x side by side, in this order.   dx = dy there, 0 elsewhere
[[nodiscard]] Variable arranged(const Variable& x, const std::vector<ColumnRange>& ranges);

}  // namespace qad
