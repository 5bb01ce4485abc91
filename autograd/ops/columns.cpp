#include "autograd/ops/columns.h"

#include <algorithm>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"

namespace qad {

namespace {

Tensor gradient_to_add_to(GradientSink& sink, std::int64_t rows, std::int64_t cols) {
  const auto [gradient, fresh] = sink.buffer({rows, cols});
  if (fresh) gradient.fill(0.0f);
  return gradient;
}

}  // namespace

ColumnsGradient::ColumnsGradient(const Columns& columns)
    : sink_(columns.x.sink()), rows_(columns.x.shape().rows()), stride_(columns.stride()), begin_(columns.begin) {}

float* ColumnsGradient::data() const {
  return sink_ != nullptr ? gradient_to_add_to(*sink_, rows_, stride_).data() + begin_ : nullptr;
}

Variable arranged(const Variable& x, const std::vector<ColumnRange>& ranges) {
  const std::int64_t rows = x.shape().rows(), cols = x.shape().cols();
  std::int64_t width = 0;
  for (const ColumnRange& range : ranges) {
    QAD_ASSERT(0 <= range.begin && range.begin <= range.end && range.end <= cols);
    width += range.end - range.begin;
  }
  // Calls visit(column here, column there, how many) for the ranges of every row.
  const auto for_each_range = [rows, cols, width, ranges](auto&& visit) {
    parallel_for(rows, 16, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        std::int64_t to = row * width;
        for (const ColumnRange& range : ranges) {
          visit(row * cols + range.begin, to, range.end - range.begin);
          to += range.end - range.begin;
        }
      }
    });
  };
  Tensor y({rows, width});
  for_each_range([&](std::int64_t from, std::int64_t to, std::int64_t count) {
    std::copy_n(x.value().data() + from, count, y.data() + to);
  });
  return record("arranged", std::move(y), {x}, [sink = x.sink(), rows, cols, for_each_range](const Tensor& dy) {
    const Tensor dx = gradient_to_add_to(*sink, rows, cols);
    for_each_range([&](std::int64_t at, std::int64_t from, std::int64_t count) {
      for (std::int64_t i = 0; i < count; ++i) dx.data()[at + i] += dy.data()[from + i];
    });
  });
}

}  // namespace qad
