#include "qad/layouts/stored_layer.h"

#include <algorithm>
#include <cmath>

#include "autograd/base/error.h"

namespace qad {
namespace {

FileTensor pack_codes_as_they_are(const std::string& name, const StoredPart& part, const ExportLinear& linear) {
  return {name, std::string(part.dtype), linear.weight->codes};
}

void unpack_codes_as_they_are(const std::string& name, const StoredPart& part, TensorTable& tensors,
                              ExportLinear& linear) {
  QuantizedTensor& weight = *linear.weight;
  weight.codes = tensors.take(name, part.dtype).data;
  if (weight.codes.shape().rank() != 2)
    throw Error({.who = name, .expected = "a matrix of codes", .got = weight.codes.shape().text()});
  weight.rows = weight.codes.rows();
  weight.cols = weight.codes.cols() * 8 / weight.format->element->bits;
}

FileTensor pack_block_scales(const std::string& name, const StoredPart& part, const ExportLinear& linear) {
  const Tensor& scales = linear.weight->scales;
  if (scales.dtype() == DType::u8) return {name, std::string(part.dtype), scales};
  return float_tensor(name, scales);
}

void unpack_block_scales(const std::string& name, const StoredPart& part, TensorTable& tensors, ExportLinear& linear) {
  QuantizedTensor& weight = *linear.weight;
  const BlockFormat& format = *weight.format;
  const Tensor scales =
      part.dtype.empty() ? tensors.take_exactly(name, format.scale_dtype()) : tensors.take(name, part.dtype).data;
  const std::int64_t block = format.block_size(weight.cols);
  const Shape expected{weight.rows, format.blocks_per_row(weight.cols)};
  if (weight.cols % block != 0 || scales.shape() != expected)
    throw Error({.who = name,
                 .expected = "shape " + expected.text(),
                 .got = scales.shape().text(),
                 .hint = "a scale for every " + std::to_string(block) + " columns"});
  weight.scales = scales;
  check_block_scales(name, weight);
}

enum class Side { weight, input };
template <Side operand>
float& tensor_scale(ExportLinear& linear) {
  return operand == Side::weight ? linear.weight->tensor_scale : linear.input->tensor_scale;
}
template <Side operand>
float tensor_scale(const ExportLinear& linear) {
  return operand == Side::weight ? linear.weight->tensor_scale : linear.input->tensor_scale;
}

template <Side operand>
FileTensor pack_scale(const std::string& name, const StoredPart& /*part*/, const ExportLinear& linear) {
  return scalar_tensor(name, {}, tensor_scale<operand>(linear));
}
template <Side operand>
FileTensor pack_scale_of_one(const std::string& name, const StoredPart& /*part*/, const ExportLinear& linear) {
  return multiplier_tensor(name, tensor_scale<operand>(linear));
}
template <Side operand>
void unpack_scale(const std::string& name, const StoredPart& /*part*/, TensorTable& tensors, ExportLinear& linear) {
  tensor_scale<operand>(linear) = tensors.take_scale(name);
}
template <Side operand>
FileTensor pack_divisor(const std::string& name, const StoredPart& /*part*/, const ExportLinear& linear) {
  const float scale = tensor_scale<operand>(linear);
  QAD_ASSERT(is_power_of_two(scale));  // any other was refused: its reciprocal rounds
  return scalar_tensor(name, {1}, 1.0f / scale);
}
template <Side operand>
void unpack_divisor(const std::string& name, const StoredPart& /*part*/, TensorTable& tensors, ExportLinear& linear) {
  tensor_scale<operand>(linear) = 1.0f / tensors.take_scale(name);
}

}  // namespace

constinit const PartCode kCodes = {pack_codes_as_they_are, unpack_codes_as_they_are};
constinit const PartCode kBlockScales = {pack_block_scales, unpack_block_scales};
constinit const PartCode kScale = {pack_scale<Side::weight>, unpack_scale<Side::weight>};
constinit const PartCode kInputScale = {pack_scale<Side::input>, unpack_scale<Side::input>};
constinit const PartCode kScaleOfOne = {pack_scale_of_one<Side::weight>, unpack_scale<Side::weight>};
constinit const PartCode kInputScaleOfOne = {pack_scale_of_one<Side::input>, unpack_scale<Side::input>};
constinit const PartCode kScaleDivisor = {pack_divisor<Side::weight>, unpack_divisor<Side::weight>};
constinit const PartCode kInputScaleDivisor = {pack_divisor<Side::input>, unpack_divisor<Side::input>};

bool holds(const StoredLayer& row, const LayerFormats& formats) {
  return row.weights == name_of(formats.weights) && row.inputs == name_of(formats.inputs);
}

void check_block_scales(const std::string& name, const QuantizedTensor& weight) {
  const auto refuse = [&](const std::string& expected) {
    throw Error({.who = name, .expected = expected, .got = "a negative one or NaN", .hint = "was it cast unclamped?"});
  };
  if (weight.scales.dtype() == DType::u8) {  // codes above the largest finite one are negative or NaN
    const bool e4m3 = weight.format->scale == &kE4M3;
    const std::uint8_t largest = e4m3 ? 0x7e : 0xfe;
    for (const std::uint8_t byte : weight.scales.span<std::uint8_t>())
      if (byte > largest) refuse(e4m3 ? "block scales from 0 to 448" : "block scales up to 2^127");
    return;
  }
  const Tensor floats = as_stored(weight.scales, DType::f32);
  for (const float scale : floats.span())
    if (!(scale >= 0.0f) || !std::isfinite(scale)) refuse("finite block scales from 0");
}

void append_parts(const StoredLayer& row, const ExportLinear& linear, std::vector<FileTensor>& tensors) {
  for (const StoredPart& part : row.parts)
    tensors.push_back(part.code->pack(linear.name + std::string(part.suffix), part, linear));
}

ExportLinear take_parts(const StoredLayer& row, const std::string& layer, TensorTable& tensors) {
  ExportLinear linear{layer, "", QuantizedTensor{&block_format(row.weights), 0, 0, {}, {}, 1.0f}, {}};
  if (row.inputs != "none") linear.input = {&block_format(row.inputs), 1.0f};
  for (const StoredPart& part : row.parts) part.code->unpack(layer + std::string(part.suffix), part, tensors, linear);
  return linear;
}

DType compute_type(const ExportModel& model) {
  const bool all_fit = std::ranges::all_of(
      model.linears, [](const ExportLinear& one) { return !one.weight || one.weight->format->exact_in_bf16(1.0f); });
  return all_fit ? model.dense_type : DType::f32;
}

}  // namespace qad
