#include "qad/quant/learned_scales.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numbers>
#include <utility>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "qad/formats/scale_gradient.h"

namespace qad {
namespace {

constexpr std::int64_t kChunk = 1 << 12;
constexpr float kLn2 = std::numbers::ln2_v<float>;

// Calls set(i) for every block.
template <class Set>
void for_each_block(const Tensor& blocks, Set&& set) {
  parallel_for(blocks.size(), kChunk, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) set(i);
  });
}

void give(const ParameterPointer& parameter, const Tensor& gradient) {
  if (parameter->trained()) parameter->variable.sink()->give(gradient);
}

ParameterPointer masters(const std::string& name, const Shape& shape) {
  auto parameter = make_parameter(name, Tensor::zeros(shape), true);
  parameter->role = Role::scale;
  return parameter;
}

// The nearest that the format's scales can be.
Tensor coded(const BlockFormat& format, const Tensor& amaxes, float tensor_scale) {
  const ElementType& type = *format.scale;
  Tensor scales(amaxes.shape(), format.scale_dtype());
  const float least = std::max(type.min_positive, kSmallestScale), divisor = format.element->max * tensor_scale;
  for_each_block(amaxes, [&](std::int64_t i) {
    const std::uint32_t code = type.encode(std::clamp(amaxes.data()[i] / divisor, least, type.max));
    const auto bytes = static_cast<std::size_t>(type.bits / 8);
    std::memcpy(scales.raw() + i * static_cast<std::int64_t>(bytes), &code, bytes);
  });
  return scales;
}

}  // namespace

LearnedScales::LearnedScales(const std::string& weight, const BlockFormat& format, const Shape& shape, bool dual)
    : format_(&format), by_floats_(format) {
  QAD_ASSERT(format.scale != nullptr);
  by_floats_.scale = &kF32;
  by_floats_.has_tensor_scale = false;
  by_floats_.fast = {};
  const Shape blocks{shape.rows(), format.blocks_per_row(shape.cols())};
  of_codes_ = masters(weight + (dual ? ".log2_amax_of_codes" : ".log2_amax"), blocks);
  of_values_ = dual ? masters(weight + ".log2_amax_of_values", blocks) : of_codes_;
}

ParameterList LearnedScales::parameters() const {
  return of_codes_ == of_values_ ? ParameterList{of_codes_} : ParameterList{of_codes_, of_values_};
}

std::uint64_t LearnedScales::version() const { return of_codes_->version() + of_values_->version(); }

void LearnedScales::start(const Tensor& block_scales, float tensor_scale) {
  QuantizedTensor given;
  given.format = format_;
  given.scales = block_scales;
  given.tensor_scale = tensor_scale;
  const Tensor values = block_scale_values(given);
  for (const ParameterPointer& parameter : parameters()) {
    for_each_block(values, [&](std::int64_t i) {
      const double amax = static_cast<double>(values.data()[i]) * format_->element->max;
      parameter->value().data()[i] = static_cast<float>(std::log2(amax));
    });
    parameter->changed();
  }
}

Tensor LearnedScales::amaxes(const ParameterPointer& masters) const {
  Tensor result(masters->value().shape());
  const float least = kSmallestScale * format_->element->max;
  for_each_block(result, [&](std::int64_t i) {  // in double: the same bits on any CPU
    const auto amax = static_cast<float>(std::exp2(static_cast<double>(masters->value().data()[i])));
    result.data()[i] = std::max(amax, least);
  });
  return result;
}

LearnedScales::Result LearnedScales::quantized(const Tensor& weight, float tensor_scale, bool clip) const {
  const bool dual = of_codes_ != of_values_;
  const float largest = format_->element->max;
  const Tensor amax = amaxes(of_values_);
  QuantizedTensor codes = QuantizedTensor::allocate(*format_, weight.rows(), weight.cols(), tensor_scale);
  codes.scales = coded(*format_, amax, tensor_scale);
  if (!dual) {
    const QuantizeStatistics statistics = quantize_with_scales(weight.data(), codes);
    return {codes, statistics, [codes, amax, weight, clip, largest, values = of_values_](const Tensor& gradient) {
              const Tensor sums = through_scales(scale_residuals(weight.data(), codes), gradient, clip);
              for_each_block(sums, [&](std::int64_t i) { sums.data()[i] *= kLn2 * amax.data()[i] / largest; });
              give(values, sums);
            }};
  }
  const Tensor amax_of_codes = amaxes(of_codes_);
  QuantizedTensor chosen = QuantizedTensor::allocate(by_floats_, weight.rows(), weight.cols(), 1.0f);
  for_each_block(amax, [&](std::int64_t i) { chosen.scales.data()[i] = amax_of_codes.data()[i] / largest; });
  const QuantizeStatistics statistics = quantize_with_scales(weight.data(), chosen);
  codes.codes = chosen.codes;
  return {codes, statistics,
          [codes, chosen, amax, weight, clip, largest, format = by_floats_, of_codes = of_codes_,
           of_values = of_values_](const Tensor& gradient) {
            QuantizedTensor by_floats = chosen;
            by_floats.format = &format;  // ours, which lives as long as this
            const Tensor of_steps = sums_of_codes(by_floats, gradient);
            const Tensor of_residuals = through_scales(scale_residuals(weight.data(), by_floats), gradient, clip);
            const Tensor scales = block_scale_values(codes);
            for_each_block(of_steps, [&](std::int64_t i) {
              float& step = of_steps.data()[i];
              float& residual = of_residuals.data()[i];
              residual = -kLn2 * scales.data()[i] * (step - residual);  // Σ dy·w/f in range
              step *= kLn2 * amax.data()[i] / largest;
            });
            give(of_codes, of_residuals);
            give(of_values, of_steps);
          }};
}

}  // namespace qad
