// How an operand multiplies itself that has no way of its own: expanded panel by panel.
#include <algorithm>
#include <type_traits>
#include <vector>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "autograd/base/parallel.h"
#include "autograd/kernels/table.h"
#include "autograd/tape/batch_invariant.h"
#include "autograd/tape/gradient_products.h"
#include "autograd/tape/operand.h"

namespace qad {
namespace {

using kernels::Transpose;

// Rows of a weight [out, cols] that are expanded at a time.
std::int64_t rows_of_panel(std::int64_t cols) {
  constexpr std::int64_t kPanelFloats = 1 << 20;
  return std::max<std::int64_t>(64, kPanelFloats / cols / 64 * 64);
}

// Calls use(begin, end, values) for panels of the weight's rows, a few MiB each, in FP32 (T float) or BF16 (its bits).
// The panels depend on the shape alone, so that a product has the same bits in whatever form the weight is kept: BLAS
// sums differently at other tile borders.
template <class T, class Use>
void for_panels(const Operand& weight, Use&& use) {
  constexpr bool kFloats = std::is_same_v<T, float>;
  const std::int64_t rows = weight.shape().rows();
  const std::int64_t cols = weight.shape().cols();
  const std::int64_t panel_rows = rows_of_panel(cols);
  const bool is_kept_so = weight.bytes() == static_cast<std::size_t>(rows * cols) * sizeof(T);
  Tensor whole, panel;
  if (is_kept_so || rows <= panel_rows) whole = kFloats ? weight.expand() : weight.expand_bf16();
  else panel = Tensor({panel_rows, cols}, kFloats ? DType::f32 : DType::bf16);
  for (std::int64_t begin = 0; begin < rows; begin += panel_rows) {
    throw_if_stopped();
    const std::int64_t end = std::min(rows, begin + panel_rows);
    if (whole.defined()) {
      use(begin, end, whole.data<T>() + begin * cols);
      continue;
    }
    if constexpr (kFloats) weight.expand_rows(begin, end, panel.data());
    else weight.expand_rows_bf16(begin, end, panel.data<T>());
    use(begin, end, panel.data<T>());
  }
}

// The same bits for a row of x whatever rows stand beside it. A weight that is kept in another form is expanded a few
// rows at a time, by the thread that multiplies them, into memory that stays in its cache.
void multiply_in_order(const Operand& weight, const Tensor& x, float* out) {
  const KernelTable& kernel = kernel_table(x.device());
  const std::int64_t in = x.cols(), all = weight.shape().rows();
  const auto kept_bytes = static_cast<std::int64_t>(weight.bytes());
  if (weight.exact_in_bf16() && kept_bytes == all * in * 2)
    return kernel.gemm_in_order_bf16(x.rows(), all, in, x.data(), in, weight.expand_bf16().data<std::uint16_t>(), in,
                                     out, all);
  if (kept_bytes == all * in * 4)
    return kernel.gemm_in_order(x.rows(), all, in, x.data(), in, weight.expand().data(), in, out, all);
  const std::int64_t rows = std::clamp<std::int64_t>((1 << 16) / std::max<std::int64_t>(1, in) / 16 * 16, 16, 64);
  parallel_for(all, rows, [&](std::int64_t begin, std::int64_t end) {
    thread_local std::vector<float> panel;
    panel.resize(static_cast<std::size_t>(rows * in));
    weight.expand_rows(begin, end, panel.data());
    kernel.gemm_in_order(x.rows(), end - begin, in, x.data(), in, panel.data(), in, out + begin, all);
  });
}

}  // namespace

void Operand::multiply_transposed(const Tensor& x, float* out) const {
  const std::int64_t rows = x.rows();
  const std::int64_t in = x.cols();
  const std::int64_t all = shape().rows();
  QAD_ASSERT(shape().cols() == in);
  if (batch_invariant()) return multiply_in_order(*this, as_f32(x), out);
  if (x.dtype() == DType::bf16) {
    QAD_ASSERT(exact_in_bf16());
    for_panels<std::uint16_t>(*this, [&](std::int64_t begin, std::int64_t end, const std::uint16_t* panel) {
      kernel_table(x.device())
          .gemm_bf16(Transpose::no, Transpose::yes, rows, end - begin, in, x.data<std::uint16_t>(), in, panel, in,
                     false, out + begin, all);
    });
    return;
  }
  for_panels<float>(*this, [&](std::int64_t begin, std::int64_t end, const float* panel) {
    kernel_table(x.device())
        .gemm(Transpose::no, Transpose::yes, rows, end - begin, in, x.data(), in, panel, in, false, out + begin, all);
  });
}

void Operand::multiply_transposed(const Operand& x, float* out) const { multiply_transposed(x.expand(), out); }

void Operand::multiply(const Tensor& d, bool accumulate, const Tensor& result) const {
  const std::int64_t rows = d.rows();
  const std::int64_t all = d.cols();
  const std::int64_t in = shape().cols();
  QAD_ASSERT(shape().rows() == all && result.size() == rows * in);
  const KernelTable& kernel = kernel_table(d.device());
  const auto multiply = [&](auto product, const auto* values, std::int64_t begin, std::int64_t end, const auto* panel) {
    product(Transpose::no, Transpose::no, rows, in, end - begin, values + begin, all, panel, in,
            accumulate || begin > 0, result.data(), in);
  };
  if (gradient_products() == Precision::bf16 && !exact_in_bf16()) {
    // As a plain matrix of the rounded values: rare, since weights are codes or rounded already.
    operand_of(expand().to(DType::bf16))->multiply(d, accumulate, result);
  } else if (d.dtype() == DType::bf16) {
    for_panels<std::uint16_t>(*this, [&](std::int64_t begin, std::int64_t end, const std::uint16_t* panel) {
      multiply(kernel.gemm_bf16, d.data<std::uint16_t>(), begin, end, panel);
    });
  } else {
    for_panels<float>(*this, [&](std::int64_t begin, std::int64_t end, const float* panel) {
      multiply(kernel.gemm, d.data(), begin, end, panel);
    });
  }
}

Tensor times_transposed(const Tensor& x, const Operand& weight) {
  Tensor out({x.rows(), weight.shape().rows()});
  weight.multiply_transposed(x, out.data());
  return out;
}

}  // namespace qad
