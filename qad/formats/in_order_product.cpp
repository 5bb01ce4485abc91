#include "qad/formats/in_order_product.h"

#include <algorithm>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/base/profile.h"
#include "autograd/kernels/gemm_in_order.h"
#include "qad/formats/element.h"
#include "qad/formats/in_order_product_simd.h"
#include "qad/formats/quantize.h"

namespace qad {
namespace {

constexpr std::int64_t kPart = kernels::kInOrderPart, kGroup = InterleavedRows::kGroup;
static_assert(kGroup == kernels::kInOrderGroup);

ProfileScope profile_of(const Tensor& x, std::int64_t rows, std::size_t weight_bytes) {
  const auto number = [](auto size) { return static_cast<double>(size); };
  return ProfileScope("product with codes", 2 * number(x.size()) * number(rows),
                      number(weight_bytes) + number(x.bytes()) + 4 * number(x.rows() * rows));
}

}  // namespace

void cpu::in_order_product(const Tensor& x, const QuantizedTensor& w, float* out) {
  if (can_be_interleaved(*w.format)) return cpu::in_order_product(x, qad::interleaved(w), out);
  const ProfileScope scope = profile_of(x, w.rows, w.bytes());
  const auto scale_stride =
      w.scales.defined() ? w.scales.cols() * static_cast<std::int64_t>(bytes_of(w.scales.dtype())) : 0;
  kernels::for_pieces_in_order(
      x.rows(), w.rows, w.cols, kGroup, [&](std::int64_t row, std::int64_t rows, std::int64_t col, std::int64_t cols) {
        const simd::RowsOfCodes codes = {.format = w.format,
                                         .count = cols,
                                         .cols = w.cols,
                                         .codes = w.codes.data<std::uint8_t>() + col * w.codes.cols(),
                                         .code_stride = w.codes.cols(),
                                         .scales = scale_stride > 0 ? w.scales.raw() + col * scale_stride : nullptr,
                                         .scale_stride = scale_stride,
                                         .tensor_scale = w.tensor_scale};
        simd::multiply_in_order(codes, rows, x.data() + row * w.cols, out + row * w.rows + col, w.rows);
      });
}

void cpu::in_order_product(const Tensor& x, const InterleavedRows& w, float* out) {
  constexpr std::int64_t kTogether = 2 * kGroup;  // two groups at a time, so that no sum waits for the one before it
  constexpr std::int64_t kTaskProducts = 1 << 18, kFewRows = 4;
  const ProfileScope scope = profile_of(x, w.rows, w.bytes.bytes());
  const std::int64_t parts = (x.rows() + kPart - 1) / kPart, pairs = (w.groups() + 1) / 2;
  const std::int64_t of_pair = std::clamp(x.rows(), kFewRows, kPart) * kTogether * w.cols;
  parallel_for(
      parts * pairs, std::max<std::int64_t>(1, kTaskProducts / of_pair), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t piece = begin; piece < end; ++piece) {
          const std::int64_t row = piece / pairs * kPart, first = piece % pairs * kTogether;
          const simd::GroupsOfCodes groups = {.count = std::min(kTogether, w.rows - first),
                                              .cols = w.cols,
                                              .bytes = w.bytes.data<std::uint8_t>() + first / kGroup * w.bytes.cols(),
                                              .stride = w.bytes.cols(),
                                              .scale_of = value_table(*w.format->scale).data(),
                                              .parts = w.format->block / InterleavedRows::kColumns,
                                              .tensor_scale = w.tensor_scale};
          simd::multiply_in_order(groups, std::min(kPart, x.rows() - row), x.data() + row * w.cols,
                                  out + row * w.rows + first, w.rows);
        }
      });
}

void in_order_product(const Tensor& x, const QuantizedTensor& w, float* out) {
  QAD_ASSERT(x.cols() == w.cols);
  format_kernels(x.device()).product_with_codes(x, w, out);
}

void in_order_product(const Tensor& x, const InterleavedRows& w, float* out) {
  QAD_ASSERT(x.cols() == w.cols);
  format_kernels(x.device()).product_with_interleaved(x, w, out);
}

}  // namespace qad
