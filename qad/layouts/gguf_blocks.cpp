#include "qad/layouts/gguf_blocks.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "data/files/gguf.h"
#include "qad/formats/pack.h"

namespace qad {
namespace {

struct BlockType {
  std::string_view format, type;  // ours and GGUF's name
  std::uint8_t largest_scale;     // codes above it are negative or NaN
};
constexpr auto kBlockTypes = std::to_array<BlockType>({{"nvfp4", "NVFP4", 0x7e}, {"mxfp4", "MXFP4", 0xfe}});

// Calls `visit(scales, codes, scale index, first column)` for every group of a row: where its scale and its bytes of
// codes stand in the blocks.
template <class Visit>
void for_groups(const GgufType& type, std::int64_t group, std::int64_t cols, Visit&& visit) {
  const std::int64_t groups = type.values / group;
  for (std::int64_t col = 0; col < cols; col += group) {
    const std::int64_t block = col / type.values * type.bytes, in_block = col % type.values / group;
    visit(block + in_block, block + groups + in_block * (group / 2), col / group, col);
  }
}

}  // namespace

std::string_view gguf_block_type(const BlockFormat& format) {
  const auto found = std::ranges::find(kBlockTypes, format.name, &BlockType::format);
  return found == kBlockTypes.end() ? "" : found->type;
}

Tensor pack_gguf_blocks(const QuantizedTensor& weight) {
  const GgufType& type = gguf_type(gguf_block_type(*weight.format));
  const std::int64_t group = weight.format->block;
  QAD_ASSERT(weight.cols % type.values == 0);
  const Tensor blocks({weight.rows, weight.cols / type.values * type.bytes}, DType::u8);
  const auto pack_row = [&](std::int64_t row) {
    const std::uint8_t* const codes = weight.codes.data<std::uint8_t>() + row * weight.codes.cols();
    const std::uint8_t* const scales = weight.scales.data<std::uint8_t>() + row * weight.scales.cols();
    std::uint8_t* const out = blocks.data<std::uint8_t>() + row * blocks.cols();
    for_groups(type, group, weight.cols, [&](std::int64_t scale, std::int64_t at, std::int64_t i, std::int64_t col) {
      out[scale] = scales[i];
      for (std::int64_t j = 0; j < group / 2; ++j)
        out[at + j] =
            static_cast<std::uint8_t>(packed_code(codes, col + j, 4) | packed_code(codes, col + j + group / 2, 4) << 4);
    });
  };
  parallel_for(weight.rows, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) pack_row(row);
  });
  return blocks;
}

QuantizedTensor unpack_gguf_blocks(std::string_view type_name, const Tensor& blocks, float tensor_scale,
                                   const std::string& name) {
  const auto kind = std::ranges::find(kBlockTypes, type_name, &BlockType::type);
  QAD_ASSERT(kind != kBlockTypes.end());
  const GgufType& type = gguf_type(type_name);
  const BlockFormat& format = block_format(kind->format);
  if (blocks.shape().rank() != 2) throw Error({.who = name, .expected = "a matrix", .got = blocks.shape().text()});
  QAD_ASSERT(blocks.cols() % type.bytes == 0);
  auto weight =
      QuantizedTensor::allocate(format, blocks.rows(), blocks.cols() / type.bytes * type.values, tensor_scale);
  for (std::int64_t row = 0; row < weight.rows; ++row) {
    const std::uint8_t* const in = blocks.data<std::uint8_t>() + row * blocks.cols();
    std::uint8_t* const codes = weight.codes.data<std::uint8_t>() + row * weight.codes.cols();
    std::uint8_t* const scales = weight.scales.data<std::uint8_t>() + row * weight.scales.cols();
    std::array<std::uint8_t, 32> values{};
    for_groups(type, format.block, weight.cols,
               [&](std::int64_t scale, std::int64_t at, std::int64_t i, std::int64_t col) {
                 if (in[scale] > kind->largest_scale)
                   throw Error({.who = name,
                                .expected = "positive block scales",
                                .got = "a negative one or NaN",
                                .hint = "is the file damaged?"});
                 scales[i] = in[scale];
                 const auto half = static_cast<std::size_t>(format.block / 2);
                 for (std::size_t j = 0; j < half; ++j) {
                   const std::uint8_t byte = in[static_cast<std::size_t>(at) + j];
                   values[j] = byte & 15u;
                   values[j + half] = static_cast<std::uint8_t>(byte >> 4);
                 }
                 pack_codes(values.data(), format.block, 4, codes + col / 2);
               });
  }
  return weight;
}

}  // namespace qad
