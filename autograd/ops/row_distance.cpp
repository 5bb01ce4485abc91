#include "autograd/ops/row_distance.h"

#include <vector>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"

namespace qad {

Variable row_distance(const Variable& x, const Tensor& y, std::span<const float> row_weights) {
  const Tensor from = as_f32(x.value()), to = as_f32(y);
  const std::int64_t rows = from.rows(), cols = from.cols();
  QAD_ASSERT(to.shape() == from.shape() && std::ssize(row_weights) == rows);
  const Tensor factors({rows});  // w_t / |y_t|²
  std::vector<double> losses(static_cast<std::size_t>(rows));
  parallel_for(rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      double length = 0, distance = 0;
      for (std::int64_t i = t * cols; i < (t + 1) * cols; ++i) {
        const double value = to.data()[i], difference = static_cast<double>(from.data()[i]) - value;
        length += value * value;
        distance += difference * difference;
      }
      const double weight = row_weights[static_cast<std::size_t>(t)];
      const bool counts = weight != 0 && length > 0;
      factors.data()[t] = counts ? static_cast<float>(weight / length) : 0.0f;
      losses[static_cast<std::size_t>(t)] = counts ? weight * distance / length : 0.0;
    }
  });
  double loss = 0;
  for (const double one : losses) loss += one;
  return record("row distance", Tensor::full({1}, static_cast<float>(loss)), {x},
                [sink = x.sink(), from, to, factors, rows, cols](const Tensor& d) {
                  const float twice = 2.0f * d.item();
                  const Tensor dx(from.shape());
                  parallel_for(rows, 16, [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin * cols; i < end * cols; ++i)
                      dx.data()[i] = twice * factors.data()[i / cols] * (from.data()[i] - to.data()[i]);
                  });
                  sink->give(dx);
                });
}

}  // namespace qad
