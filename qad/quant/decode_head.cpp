#include "qad/quant/decode_head.h"

#include <algorithm>
#include <cmath>

#include "autograd/base/error.h"
#include "qad/quant/packed_tensor.h"
#include "qad/quant/quantizer.h"

namespace qad {
namespace {

// Calls use(begin, end, values) for panels of rows in FP32.
template <class Use>
void for_panels(const Operand& weight, Use&& use) {
  constexpr std::int64_t kRows = 1024;
  const std::int64_t rows = weight.shape().rows(), cols = weight.shape().cols();
  const Tensor panel({std::min(kRows, rows), cols});
  for (std::int64_t begin = 0; begin < rows; begin += kRows) {
    const std::int64_t end = std::min(rows, begin + kRows);
    weight.expand_rows(begin, end, panel.data());
    use(begin, end, panel.data());
  }
}

QuantizedTensor quantized(const Operand& weight, const BlockFormat& format) {
  const std::int64_t rows = weight.shape().rows(), cols = weight.shape().cols();
  float largest = 0;
  for_panels(weight, [&](std::int64_t begin, std::int64_t end, const float* values) {
    largest = std::max(largest, amax(values, (end - begin) * cols, Device::cpu));
  });
  QuantizedTensor all =
      QuantizedTensor::allocate(format, rows, cols, tensor_scale_from_amax(format, largest, TensorScaleRound::pow2));
  for_panels(weight, [&](std::int64_t begin, std::int64_t end, const float* values) {
    QuantizedTensor part = all;
    part.rows = end - begin;
    part.codes = all.codes.slice(begin, end);
    if (all.scales.defined()) part.scales = all.scales.slice(begin, end);
    static_cast<void>(quantize(values, part));
  });
  return all;
}

std::shared_ptr<const Operand> in_format(const std::shared_ptr<const Operand>& weight, HeadFormat format) {
  switch (format) {
    case HeadFormat::bf16:
      return operand_of(weight->exact_in_bf16() ? weight->expand_bf16() : weight->expand().to(DType::bf16));
    case HeadFormat::fp8: return std::make_shared<PackedTensor>(quantized(*weight, block_format("fp8")));
    case HeadFormat::nvfp4: break;
  }
  return std::make_shared<InterleavedTensor>(quantized(*weight, block_format("nvfp4")));
}

// What the head reads is at most this.
float largest_input(const LanguageModel& model) {
  const Tensor factors = model.final_norm().operand().values().expand();
  const float largest = amax(factors.data(), factors.size(), factors.device()) + model.final_norm_offset();
  return std::sqrt(static_cast<float>(factors.size())) * largest;
}

}  // namespace

DecodeHead::DecodeHead(LanguageModel& model, std::optional<HeadFormat> format)
    : head_(model.head()), weight_(head_.members.front().weight), input_slot_(head_.input_slot) {
  if (!format) return;
  const BlockFormat& nvfp4 = block_format("nvfp4");
  const std::int64_t cols = weight_->shape().cols();
  if (format == HeadFormat::nvfp4 && cols % nvfp4.block != 0)
    throw Error({.who = "decode.head: nvfp4",
                 .expected = "a hidden size that is a multiple of " + std::to_string(nvfp4.block),
                 .got = std::to_string(cols),
                 .hint = "fp8 takes any"},
                ExitCode::usage);
  head_.members.front().weight = make_parameter(weight_->name, in_format(weight_->operand().result.operand, *format));
  head_.input_slot = nullptr;
  if (format == HeadFormat::nvfp4)
    head_.input_slot = frozen_quantizer(head_.name + " (input)", nvfp4,
                                        tensor_scale_from_amax(nvfp4, largest_input(model), TensorScaleRound::pow2));
}

DecodeHead::~DecodeHead() {
  head_.members.front().weight = weight_;
  head_.input_slot = input_slot_;
}

}  // namespace qad
