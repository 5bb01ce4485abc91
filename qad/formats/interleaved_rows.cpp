#include "qad/formats/interleaved_rows.h"

#include <algorithm>
#include <cstring>

#include "autograd/base/error.h"
#include "autograd/base/mapped_pages.h"
#include "autograd/base/parallel.h"
#include "autograd/base/profile.h"
#include "qad/formats/quantize.h"

namespace qad {
namespace {

constexpr std::int64_t kInterleaved = InterleavedRows::kGroup;
constexpr std::int64_t kColumns = InterleavedRows::kColumns;

// The four nibbles of 16 bits as the low nibbles of four bytes, and back.
std::uint32_t spread(std::uint32_t nibbles) {
  nibbles = (nibbles | nibbles << 8) & 0x00ff00ffu;
  return (nibbles | nibbles << 4) & 0x0f0f0f0fu;
}
std::uint32_t gathered(std::uint32_t bytes) {
  bytes = (bytes | bytes >> 4) & 0x00ff00ffu;
  return (bytes | bytes >> 8) & 0xffffu;
}

// Of 8 columns, low nibble first, to a row's four bytes of a group, and back.
std::uint32_t to_row_bytes(std::uint32_t packed) { return spread(packed & 0xffffu) | spread(packed >> 16) << 4; }
std::uint32_t from_row_bytes(std::uint32_t bytes) {
  return gathered(bytes & 0x0f0f0f0fu) | gathered(bytes >> 4 & 0x0f0f0f0fu) << 16;
}

struct Layout {
  explicit Layout(const BlockFormat& format, std::int64_t cols)
      : parts(format.block / kColumns),
        blocks(cols / format.block),
        block_bytes(InterleavedRows::bytes_of_block(format)) {}
  [[nodiscard]] std::int64_t group_bytes() const { return blocks * block_bytes; }
  std::int64_t parts, blocks, block_bytes;
};

// Calls visit(its 8 packed bytes, its two dwords) for each 16 columns of a row in a group, and visit_scale(block's own,
// group's) for each block.
template <class Codes, class Group, class Visit, class VisitScale>
void visit_row(const Layout& layout, std::int64_t row, Codes* codes, Group* group, Visit&& visit,
               VisitScale&& visit_scale) {
  for (std::int64_t block = 0; block < layout.blocks; ++block, group += layout.block_bytes) {
    for (std::int64_t part = 0; part < layout.parts; ++part, codes += kColumns / 2)
      for (std::int64_t half = 0; half < 2; ++half) visit(codes + 4 * half, group + 128 * part + 64 * half + 4 * row);
    visit_scale(block, group + 128 * layout.parts + row);
  }
}

}  // namespace

bool can_be_interleaved(const BlockFormat& format) {
  return format.element == &kE2M1 &&
         ((format.block == 16 && format.scale == &kE4M3) || (format.block == 32 && format.scale == &kE8M0));
}

InterleavedRows interleaved(const QuantizedTensor& tensor) {
  QAD_ASSERT(can_be_interleaved(*tensor.format));
  return format_kernels(tensor.codes.device()).interleaved(tensor);
}

QuantizedTensor separated(const InterleavedRows& tensor, std::int64_t begin, std::int64_t end) {
  QAD_ASSERT(0 <= begin && begin <= end && end <= tensor.rows);
  return format_kernels(tensor.bytes.device()).separated(tensor, begin, end);
}

InterleavedRows cpu::interleaved(const QuantizedTensor& tensor) {
  const Layout layout(*tensor.format, tensor.cols);
  InterleavedRows result{tensor.format, tensor.rows, tensor.cols, {}, tensor.tensor_scale};
  result.bytes = Tensor({result.groups(), layout.group_bytes()}, DType::u8);
  prefer_large_pages({result.bytes.raw(), result.bytes.bytes()});
  const ProfileScope scope("interleave", 0, 2.0 * static_cast<double>(tensor.bytes()));
  const auto* const codes = tensor.codes.data<std::uint8_t>();
  const auto* const scales = tensor.scales.data<std::uint8_t>();
  parallel_for(result.groups(), std::max<std::int64_t>(1, 4096 / tensor.cols),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t group = begin; group < end; ++group) {
                   std::uint8_t* const target = result.bytes.data<std::uint8_t>() + group * layout.group_bytes();
                   const std::int64_t first = group * kInterleaved, rows = std::min(kInterleaved, tensor.rows - first);
                   if (rows < kInterleaved) std::fill_n(target, layout.group_bytes(), std::uint8_t{0});
                   for (std::int64_t row = 0; row < rows; ++row) {
                     const std::uint8_t* const of_row = scales + (first + row) * layout.blocks;
                     visit_row(
                         layout, row, codes + (first + row) * tensor.cols / 2, target,
                         [](const std::uint8_t* packed, std::uint8_t* to) {
                           std::uint32_t columns = 0;
                           std::memcpy(&columns, packed, 4);
                           columns = to_row_bytes(columns);
                           std::memcpy(to, &columns, 4);
                         },
                         [&](std::int64_t block, std::uint8_t* to) { *to = of_row[block]; });
                   }
                 }
               });
  return result;
}

QuantizedTensor cpu::separated(const InterleavedRows& tensor, std::int64_t begin, std::int64_t end) {
  const Layout layout(*tensor.format, tensor.cols);
  QuantizedTensor result = QuantizedTensor::allocate(*tensor.format, end - begin, tensor.cols, tensor.tensor_scale);
  const auto* const bytes = tensor.bytes.data<std::uint8_t>();
  parallel_for(end - begin, std::max<std::int64_t>(1, 65536 / tensor.cols), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const std::int64_t row = begin + i;
      std::uint8_t* const scales = result.scales.data<std::uint8_t>() + i * layout.blocks;
      visit_row(
          layout, row % kInterleaved, result.codes.data<std::uint8_t>() + i * tensor.cols / 2,
          bytes + row / kInterleaved * layout.group_bytes(),
          [](std::uint8_t* packed, const std::uint8_t* from) {
            std::uint32_t columns = 0;
            std::memcpy(&columns, from, 4);
            columns = from_row_bytes(columns);
            std::memcpy(packed, &columns, 4);
          },
          [&](std::int64_t block, const std::uint8_t* from) { scales[block] = *from; });
    }
  });
  return result;
}

}  // namespace qad
