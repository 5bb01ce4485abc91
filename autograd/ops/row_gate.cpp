#include "autograd/ops/row_gate.h"

#include <cmath>
#include <numeric>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"

namespace qad {

Variable gated_rows(const Variable& x, const Variable& scores) {
  const std::int64_t rows = x.shape().rows(), cols = x.shape().cols();
  QAD_ASSERT(scores.shape().size() == rows);
  const Tensor y({rows, cols}), gates({rows});
  const auto for_each_row = [rows](auto&& visit) {
    parallel_for(rows, 16, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) visit(row);
    });
  };
  for_each_row([&](std::int64_t row) {
    const float gate = gates.data()[row] = 1.0f / (1.0f + std::exp(-scores.value().data()[row]));
    for (std::int64_t c = row * cols; c < (row + 1) * cols; ++c) y.data()[c] = gate * x.value().data()[c];
  });
  return record("gated rows", y, {x, scores},
                [x_sink = x.sink(), scores_sink = scores.sink(), x = x.value(), gates, rows, cols,
                 for_each_row](const Tensor& dy) {
                  if (scores_sink != nullptr) {
                    const Tensor d_scores({rows, 1});
                    for_each_row([&](std::int64_t row) {
                      const float* const d = dy.data() + row * cols;
                      const float gate = gates.data()[row];
                      d_scores.data()[row] =
                          gate * (1.0f - gate) * std::inner_product(d, d + cols, x.data() + row * cols, 0.0f);
                    });
                    scores_sink->give(d_scores);
                  }
                  if (x_sink != nullptr) {
                    const Tensor dx({rows, cols});
                    for_each_row([&](std::int64_t row) {
                      for (std::int64_t c = row * cols; c < (row + 1) * cols; ++c)
                        dx.data()[c] = gates.data()[row] * dy.data()[c];
                    });
                    x_sink->give(dx);
                  }
                });
}

}  // namespace qad
