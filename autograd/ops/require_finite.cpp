#include "autograd/ops/require_finite.h"

#include <cmath>
#include <limits>

#include "autograd/base/error.h"
#include "autograd/kernels/table.h"

namespace qad {

void require_finite(const Tensor& x, const std::string& who) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  const KernelTable& kernel = kernel_table(x.device());
  if (kernel.sum_of_squares(x.size(), x.data()) <= kLargest) return;  // false for NaN
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    const double squares = kernel.sum_of_squares(x.cols(), x.data() + row * x.cols());
    if (squares <= kLargest) continue;
    bool finite = true;
    for (std::int64_t col = 0; col < x.cols(); ++col) finite = finite && std::isfinite(x.data()[row * x.cols() + col]);
    throw NotFinite({.who = who,
                     .expected = "finite values",
                     .got = finite ? "values so large that the sum of their squares is not" : "an infinity or NaN",
                     .hint = "its weights are damaged, have diverged, or overflow FP32"});
  }
}

}  // namespace qad
