#include "qad/layouts/packed_words.h"

#include <fmt/format.h>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"

namespace qad {
namespace {

constexpr std::int64_t kBitsOfWord = 32;

Shape shape_of_words(const QuantizedTensor& weight) {
  return {weight.rows, (weight.cols * weight.format->element->bits + kBitsOfWord - 1) / kBitsOfWord};
}

// Two's complement to offset binary and back: the sign bit of every code in a byte, turned over.
std::uint8_t sign_bits(const QuantizedTensor& weight) { return weight.format->element->bits == 4 ? 0x88 : 0x80; }

FileTensor pack_shape(const std::string& name, const StoredPart& part, const ExportLinear& linear) {
  const Tensor shape({2}, DType::i64);
  shape.data<std::int64_t>()[0] = linear.weight->rows;
  shape.data<std::int64_t>()[1] = linear.weight->cols;
  return {name, std::string(part.dtype), shape};
}

void unpack_shape(const std::string& name, const StoredPart& part, TensorTable& tensors, ExportLinear& linear) {
  const Tensor shape = tensors.take(name, part.dtype).data;
  if (shape.shape() != Shape{2})
    throw Error({.who = name, .expected = "rows and columns", .got = shape.shape().text()});
  constexpr std::int64_t kLargest = std::int64_t{1} << 31;  // so that products fit
  const auto extents = shape.span<std::int64_t>();
  if (extents[0] <= 0 || extents[1] <= 0 || extents[0] >= kLargest || extents[1] >= kLargest)
    throw Error(
        {name, "rows and columns above 0 and below 2^31", fmt::format("{} and {}", extents[0], extents[1]), ""});
  linear.weight->rows = extents[0];
  linear.weight->cols = extents[1];
}

FileTensor pack_words(const std::string& name, const StoredPart& part, const ExportLinear& linear) {
  const QuantizedTensor& weight = *linear.weight;
  const Tensor words = Tensor::zeros(shape_of_words(weight), DType::i32);
  const std::int64_t bytes = weight.codes.cols();
  parallel_for(weight.rows, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::uint8_t* const codes = weight.codes.data<std::uint8_t>() + row * bytes;
      auto* const out = reinterpret_cast<std::uint8_t*>(words.data<std::int32_t>() + row * words.cols());
      for (std::int64_t i = 0; i < bytes; ++i) out[i] = static_cast<std::uint8_t>(codes[i] ^ sign_bits(weight));
    }
  });
  return {name, std::string(part.dtype), words};
}

void unpack_words(const std::string& name, const StoredPart& part, TensorTable& tensors, ExportLinear& linear) {
  QuantizedTensor& weight = *linear.weight;
  const Tensor words = tensors.take(name, part.dtype).data;
  if (words.shape() != shape_of_words(weight))
    throw Error({.who = name,
                 .expected = "shape " + shape_of_words(weight).text(),
                 .got = words.shape().text(),
                 .hint = "does weight_shape fit it?"});
  weight.codes = Tensor({weight.rows, weight.format->code_bytes_per_row(weight.cols)}, DType::u8);
  const std::int64_t bytes = weight.codes.cols();
  parallel_for(weight.rows, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const auto* const in = reinterpret_cast<const std::uint8_t*>(words.data<std::int32_t>() + row * words.cols());
      std::uint8_t* const codes = weight.codes.data<std::uint8_t>() + row * bytes;
      for (std::int64_t i = 0; i < bytes; ++i) codes[i] = static_cast<std::uint8_t>(in[i] ^ sign_bits(weight));
    }
  });
}

}  // namespace

constinit const PartCode kWeightShape = {pack_shape, unpack_shape};
constinit const PartCode kPackedWords = {pack_words, unpack_words};

}  // namespace qad
