// Some columns of a matrix as the input of an op: a projection that makes several things at once is read in place.
#pragma once

#include <memory>
#include <vector>

#include "autograd/tape/variable.h"

namespace qad {

/// Columns [begin, end) of x [T, C]. An op that reads them adds to these columns of x's gradient alone
/// (ColumnsGradient).
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

/// Where the gradient of columns goes; it keeps nothing of their values.
class ColumnsGradient {
 public:
  explicit ColumnsGradient(const Columns& columns);
  /// To be added to, rows `stride` numbers apart, with zeros where nothing was added yet; null: nobody asks for it.
  [[nodiscard]] float* data() const;
  [[nodiscard]] std::int64_t stride() const { return stride_; }

 private:
  std::shared_ptr<GradientSink> sink_;
  std::int64_t rows_, stride_, begin_;
};

struct ColumnRange {
  std::int64_t begin = 0, end = 0;
};
/// These columns of x side by side, in this order.   dx = dy there, 0 elsewhere
[[nodiscard]] Variable arranged(const Variable& x, const std::vector<ColumnRange>& ranges);

}  // namespace qad
