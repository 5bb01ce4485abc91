#include "qad/formats/integer_product.h"

#include <algorithm>
#include <vector>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/base/profile.h"
#include "qad/formats/integer_product_simd.h"
#include "qad/formats/quantize.h"

namespace qad {
namespace {

constexpr std::int64_t kGroupRows = InterleavedRows::kGroup;
// So few rows of x go together that what a product reads of them stays in the second cache while groups pass by.
constexpr std::int64_t kRowsTogether = simd::kProductRows, kGroupsTogether = simd::kProductGroups;
// Multiply-adds of a piece of work, some ten microseconds; a few rows take as long as four, since w has to be read.
constexpr std::int64_t kTaskProducts = 1 << 19, kFewRows = 4;

std::int64_t divide_up(std::int64_t size, std::int64_t by) { return (size + by - 1) / by; }

simd::ProductExtents extents_of(const QuantizedTensor& x, const InterleavedRows& w) {
  const BlockFormat& format = *x.format;
  return {.cols = x.cols,
          .blocks = x.cols / format.block,
          .parts = format.block / InterleavedRows::kColumns,
          .powers_of_two = format.scale == &kE8M0,
          .out_stride = w.rows,
          .tensor_scales = 0.25 * static_cast<double>(x.tensor_scale) * static_cast<double>(w.tensor_scale)};
}

struct Inputs {
  Inputs(const QuantizedTensor& x, const simd::ProductExtents& extents)
      : codes({x.rows, x.cols}, DType::u8),
        scales({x.rows, extents.blocks}),
        corrections({x.rows, extents.blocks}, DType::i32) {
    const std::int64_t chunk = std::max<std::int64_t>(1, (1 << 14) / x.cols);
    parallel_for(x.rows, chunk, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row)
        simd::prepare_inputs(
            x.codes.data<std::uint8_t>() + row * x.cols / 2, x.scales.data<std::uint8_t>() + row * extents.blocks,
            extents, reinterpret_cast<std::int8_t*>(codes.data<std::uint8_t>()) + row * x.cols,
            scales.data() + row * extents.blocks, corrections.data<std::int32_t>() + row * extents.blocks);
    });
  }
  [[nodiscard]] simd::ProductInputs from(std::int64_t row, const simd::ProductExtents& extents) const {
    return {reinterpret_cast<const std::int8_t*>(codes.data<std::uint8_t>()) + row * extents.cols,
            scales.data() + row * extents.blocks, corrections.data<std::int32_t>() + row * extents.blocks};
  }

  Tensor codes, scales, corrections;
};

}  // namespace

void cpu::integer_product(const QuantizedTensor& x, const InterleavedRows& w, float* out) {
  const auto number = [](std::int64_t size) { return static_cast<double>(size); };
  const ProfileScope scope(
      "integer product", 2 * number(x.rows) * number(w.rows) * number(x.cols),
      number(static_cast<std::int64_t>(x.bytes() + w.bytes.bytes())) + 4 * number(x.rows * w.rows));
  const simd::ProductExtents extents = extents_of(x, w);
  const Inputs inputs(x, extents);
  const std::int64_t row_parts = divide_up(x.rows, kRowsTogether);
  const std::int64_t rows_of_part = std::min(x.rows, kRowsTogether);
  const std::int64_t of_groups = std::max(rows_of_part, kFewRows) * kGroupRows * kGroupsTogether * x.cols;
  const std::int64_t groups_of_task = kGroupsTogether * std::max<std::int64_t>(1, kTaskProducts / of_groups);
  const std::int64_t group_parts = divide_up(w.groups(), groups_of_task);
  parallel_for(row_parts * group_parts, 1, [&](std::int64_t task, std::int64_t) {
    thread_local std::vector<std::uint8_t> memory;
    memory.resize(static_cast<std::size_t>(simd::product_scratch_bytes(extents)) + 64);
    std::uint8_t* const scratch = memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64);
    const std::int64_t row = task / group_parts * kRowsTogether, rows = std::min(kRowsTogether, x.rows - row);
    const std::int64_t first = task % group_parts * groups_of_task, last = std::min(w.groups(), first + groups_of_task);
    for (std::int64_t group = first; group < last; group += kGroupsTogether)
      simd::multiply_groups(inputs.from(row, extents), rows, w.bytes.data<std::uint8_t>() + group * w.bytes.cols(),
                            w.bytes.cols(), std::min(kGroupsTogether * kGroupRows, w.rows - group * kGroupRows),
                            extents, scratch, out + row * w.rows + group * kGroupRows);
  });
}

void integer_product(const QuantizedTensor& x, const InterleavedRows& w, float* out) {
  QAD_ASSERT(x.format == w.format && x.cols == w.cols);
  format_kernels(x.codes.device()).integer_product(x, w, out);
}

}  // namespace qad
