#include "autograd/tape/interleaved_operand.h"

#include <algorithm>
#include <bit>

#include "autograd/base/error.h"
#include "autograd/base/mapped_pages.h"
#include "autograd/kernels/table.h"
#include "autograd/tape/batch_invariant.h"

namespace qad {
namespace {

// Calls use(row, column, bits) for rows [begin, end) in their order.
template <class Use>
void for_values(const kernels::InterleavedBF16& matrix, std::int64_t begin, std::int64_t end, const Use& use) {
  constexpr std::int64_t kGroup = kernels::kInOrderGroup;
  for (std::int64_t row = begin; row < end; ++row) {
    const std::uint32_t* const elements = matrix.elements + row / kGroup * matrix.group_size() + row % kGroup;
    for (std::int64_t column = 0; column < matrix.k; ++column) {
      const std::uint32_t both = elements[column / 2 * kGroup];
      use(row, column, static_cast<std::uint16_t>(column % 2 == 0 ? both & 0xffffu : both >> 16));
    }
  }
}

}  // namespace

InterleavedOperand::InterleavedOperand(const Tensor& matrix) : rows_(matrix.rows()), cols_(matrix.cols()) {
  QAD_ASSERT(matrix.dtype() == DType::bf16);
  const kernels::InterleavedBF16 all{rows_, cols_};
  elements_ = Tensor({all.size()}, DType::f32);  // 32 bits each
  prefer_large_pages({elements_.raw(), elements_.bytes()});
  // Part by part, so that both never stand in memory whole.
  constexpr std::int64_t kGroup = kernels::kInOrderGroup, kPartElements = 1 << 20;
  const std::int64_t part = std::max<std::int64_t>(1, kPartElements / std::max<std::int64_t>(1, all.group_size()));
  for (std::int64_t group = 0; group * kGroup < rows_; group += part) {
    const std::int64_t begin = group * kGroup, end = std::min(rows_, begin + part * kGroup);
    const Tensor some = matrix.slice(begin, end);
    kernel_table(matrix.device())
        .interleave_bf16(end - begin, cols_, some.data<std::uint16_t>(), cols_,
                         reinterpret_cast<std::uint32_t*>(elements_.raw()) + group * all.group_size());
    forget_pages({some.raw(), some.bytes()});
  }
}

kernels::InterleavedBF16 InterleavedOperand::matrix() const {
  return {rows_, cols_, reinterpret_cast<const std::uint32_t*>(elements_.raw())};
}

void InterleavedOperand::expand_rows(std::int64_t begin, std::int64_t end, float* out) const {
  for_values(matrix(), begin, end, [&](std::int64_t row, std::int64_t column, std::uint16_t bits) {
    out[(row - begin) * cols_ + column] = std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  });
}

void InterleavedOperand::expand_rows_bf16(std::int64_t begin, std::int64_t end, std::uint16_t* out) const {
  for_values(matrix(), begin, end, [&](std::int64_t row, std::int64_t column, std::uint16_t bits) {
    out[(row - begin) * cols_ + column] = bits;
  });
}

void InterleavedOperand::multiply_transposed(const Tensor& x, float* out) const {
  if (!batch_invariant()) return Operand::multiply_transposed(x, out);
  QAD_ASSERT(x.cols() == cols_);
  const Tensor floats = as_f32(x);
  kernel_table(x.device()).gemm_in_order_interleaved(x.rows(), matrix(), floats.data(), cols_, out, rows_);
}

}  // namespace qad
