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

// The found ones, with the tensor scale, times 2^master.
Tensor moved(const Tensor& found, const ParameterPointer& masters) {
  Tensor scales(found.shape());
  for_each_block(found, [&](std::int64_t i) {  // in double: the same bits on any CPU
    const double factor = std::exp2(static_cast<double>(masters->value().data()[i]));
    scales.data()[i] = std::max(static_cast<float>(found.data()[i] * factor), kSmallestScale);
  });
  return scales;
}

// The nearest that the format's scales can be.
Tensor coded(const BlockFormat& format, const Tensor& scales, float tensor_scale) {
  const ElementType& type = *format.scale;
  const float least = std::max(type.min_positive, kSmallestScale);
  const auto bytes = static_cast<std::size_t>(type.bits / 8);
  Tensor codes(scales.shape(), format.scale_dtype());
  for_each_block(scales, [&](std::int64_t i) {
    const std::uint32_t code = type.encode(std::clamp(scales.data()[i] / tensor_scale, least, type.max));
    std::memcpy(codes.raw() + i * static_cast<std::int64_t>(bytes), &code, bytes);
  });
  return codes;
}

}  // namespace

LearnedScales::LearnedScales(const std::string& weight, const BlockFormat& format, const Shape& shape, bool dual)
    : format_(&format), by_floats_(format) {
  QAD_ASSERT(format.scale != nullptr);
  by_floats_.scale = &kF32;
  by_floats_.has_tensor_scale = false;
  by_floats_.fast = {};
  const Shape blocks{shape.rows(), format.blocks_per_row(shape.cols())};
  const std::vector<std::string> called = names(weight, dual);
  of_codes_ = masters(called.front(), blocks);
  of_values_ = dual ? masters(called.back(), blocks) : of_codes_;
}

std::vector<std::string> LearnedScales::names(const std::string& weight, bool dual) {
  if (!dual) return {weight + ".log2_scale"};
  return {weight + ".log2_scale_of_codes", weight + ".log2_scale_of_values"};
}

ParameterList LearnedScales::parameters() const {
  return of_codes_ == of_values_ ? ParameterList{of_codes_} : ParameterList{of_codes_, of_values_};
}

std::uint64_t LearnedScales::version() const { return of_codes_->version() + of_values_->version(); }

void LearnedScales::start() {
  for (const ParameterPointer& parameter : parameters()) {
    parameter->value().fill(0.0f);
    parameter->changed();
  }
}

LearnedScales::Result LearnedScales::quantized(const Tensor& weight, const Tensor& found, float tensor_scale,
                                               bool clip) const {
  QuantizedTensor codes = QuantizedTensor::allocate(*format_, weight.rows(), weight.cols(), tensor_scale);
  codes.scales = found;
  const Tensor beginnings = block_scale_values(codes);
  const Tensor exact = moved(beginnings, of_values_);
  codes.scales = coded(*format_, exact, tensor_scale);
  if (of_codes_ == of_values_) {
    const QuantizeStatistics statistics = quantize_with_scales(weight.data(), codes);
    return {codes, statistics, [codes, exact, weight, clip, values = of_values_](const Tensor& gradient) {
              const Tensor sums = through_scales(scale_residuals(weight.data(), codes), gradient, clip);
              for_each_block(sums, [&](std::int64_t i) { sums.data()[i] *= kLn2 * exact.data()[i]; });
              give(values, sums);
            }};
  }
  QuantizedTensor chosen = QuantizedTensor::allocate(by_floats_, weight.rows(), weight.cols(), 1.0f);
  chosen.scales = moved(beginnings, of_codes_);
  const QuantizeStatistics statistics = quantize_with_scales(weight.data(), chosen);
  codes.codes = chosen.codes;
  return {codes, statistics,
          [codes, chosen, exact, weight, clip, format = by_floats_, of_codes = of_codes_,
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
              step *= kLn2 * exact.data()[i];
            });
            give(of_codes, of_residuals);
            give(of_values, of_steps);
          }};
}

}  // namespace qad
