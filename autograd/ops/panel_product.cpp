#include "autograd/ops/panel_product.h"

#include <algorithm>

#include "autograd/core/error.h"
#include "autograd/kernels/table.h"

namespace qad {
namespace {

using kernels::Transpose;

// Calls use(begin, end, floats) for panels of the weight's rows, a few MiB each. The panels depend on the shape alone,
// so that a product has the same bits in whatever form the weight is kept: BLAS sums differently at other tile borders.
template <class Use>
void for_panels(const SavedTensor& weight, Use&& use) {
  const std::int64_t rows = weight.shape().rows();
  const std::int64_t cols = weight.shape().cols();
  const std::int64_t panel_rows = weight_panel_rows(cols);
  const bool is_fp32 = weight.bytes() == static_cast<std::size_t>(rows * cols) * sizeof(float);
  const Tensor whole = is_fp32 || rows <= panel_rows ? weight.expand() : Tensor();
  const Tensor panel = whole.defined() ? Tensor() : Tensor({panel_rows, cols});
  for (std::int64_t begin = 0; begin < rows; begin += panel_rows) {
    const std::int64_t end = std::min(rows, begin + panel_rows);
    if (!whole.defined()) weight.expand_rows(begin, end, panel.data());
    use(begin, end, whole.defined() ? whole.data() + begin * cols : panel.data());
  }
}

}  // namespace

std::int64_t weight_panel_rows(std::int64_t cols) {
  constexpr std::int64_t kPanelFloats = 1 << 20;
  return std::max<std::int64_t>(64, kPanelFloats / cols / 64 * 64);
}

void times_transposed(const Tensor& x, const SavedTensor& weight, float* out) {
  const std::int64_t rows = x.rows();
  const std::int64_t in = x.cols();
  const std::int64_t all = weight.shape().rows();
  QAD_ASSERT(weight.shape().cols() == in);
  for_panels(weight, [&](std::int64_t begin, std::int64_t end, const float* panel) {
    kernel_table(x.device())
        .gemm(Transpose::no, Transpose::yes, rows, end - begin, in, x.data(), in, panel, in, false, out + begin, all);
  });
}

Tensor times_transposed(const Tensor& x, const SavedTensor& weight) {
  Tensor out({x.rows(), weight.shape().rows()});
  times_transposed(x, weight, out.data());
  return out;
}

void times(const Tensor& d, const SavedTensor& weight, bool accumulate, const Tensor& result) {
  const std::int64_t rows = d.rows();
  const std::int64_t all = d.cols();
  const std::int64_t in = weight.shape().cols();
  QAD_ASSERT(weight.shape().rows() == all && result.size() == rows * in);
  for_panels(weight, [&](std::int64_t begin, std::int64_t end, const float* panel) {
    kernel_table(d.device())
        .gemm(Transpose::no, Transpose::no, rows, in, end - begin, d.data() + begin, all, panel, in,
              accumulate || begin > 0, result.data(), in);
  });
}

}  // namespace qad
