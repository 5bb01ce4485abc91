#include "qad/quant/quantizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/tape/variable.h"
#include "qad/formats/block_scales.h"
#include "qad/formats/scale_gradient.h"
#include "qad/quant/bf16_rounding.h"
#include "qad/quant/packed_tensor.h"
#include "qad/quant/rows_in_f32.h"

namespace qad {
namespace {

[[noreturn]] void throw_not_finite(const std::string& name, const std::string& got) {
  throw NotFinite({.who = name,
                   .expected = "finite values",
                   .got = got,
                   .hint = "training has diverged, or the model's file is damaged"});
}

[[noreturn]] void throw_scales_stay(const std::string& name) {
  throw Error({.who = name,
               .expected = "ste identity or clip where block scales do not follow their amax",
               .got = "through_scale"},
              ExitCode::usage);
}

// One bit a value, set where |x| > limit.
Tensor saturation_mask(const Tensor& x, float limit) {
  const std::int64_t size = x.size();
  Tensor mask({(size + 7) / 8}, DType::u8);
  parallel_for(mask.size(), 1 << 12, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t byte = begin; byte < end; ++byte) {
      unsigned bits = 0;
      for (std::int64_t i = 8 * byte; i < std::min(size, 8 * byte + 8); ++i)
        bits |= (std::abs(x.data()[i]) > limit ? 1u : 0u) << (i % 8);
      mask.data<std::uint8_t>()[byte] = static_cast<std::uint8_t>(bits);
    }
  });
  return mask;
}

void zero_where_set(const Tensor& mask, const Tensor& gradient) {
  QAD_ASSERT(mask.size() == (gradient.size() + 7) / 8);
  parallel_for(mask.size(), 1 << 12, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t byte = begin; byte < end; ++byte)
      for (unsigned bits = mask.data<std::uint8_t>()[byte], i = 0; bits != 0; bits >>= 1, ++i)
        if (bits & 1u) gradient.data()[8 * byte + i] = 0.0f;
  });
}

bool all_multiply(Readers readers, const BlockFormat& format) {
  return !readers.empty() && std::ranges::all_of(readers, [&](const std::shared_ptr<const Operand>& reader) {
    const auto* const codes = dynamic_cast<const CodedOperand*>(reader.get());
    return codes != nullptr && codes->multiplies(format);
  });
}

// Into `codes`, which has block scales if `scales_are_given`.
QuantizeStatistics quantize_by_rows(const Tensor& x, bool scales_are_given, const QuantizedTensor& codes) {
  QuantizeStatistics all;
  for_rows_in_f32(x, [&](std::int64_t begin, const Tensor& floats) {
    QuantizedTensor rows = codes;
    rows.rows = floats.rows();
    rows.codes = codes.codes.slice(begin, begin + rows.rows);
    if (codes.scales.defined()) rows.scales = codes.scales.slice(begin, begin + rows.rows);
    const QuantizeStatistics some =
        scales_are_given ? quantize_with_scales(floats.data(), rows) : quantize(floats.data(), rows);
    all.saturated += some.saturated;
    all.non_finite += some.non_finite;
  });
  return all;
}

}  // namespace

Quantizer::Quantizer(std::string name, std::shared_ptr<TensorScale> scale, StraightThrough ste)
    : name_(std::move(name)), scale_(std::move(scale)), ste_(ste) {
  if (ste_ == StraightThrough::through_scale && format().scale == nullptr)
    throw Error({.who = name_,
                 .expected = fmt::format("ste identity or clip in {}, which has no block scales", format().name),
                 .got = "through_scale"},
                ExitCode::usage);
}

SaturationCount Quantizer::take_saturation() { return std::exchange(saturation_, {}); }

TransformResult Quantizer::quantized(const Tensor& x, Tensor values) {
  const float tensor_scale = scale_->value();
  QuantizedTensor codes = QuantizedTensor::allocate(format(), x.rows(), x.cols(), tensor_scale);
  const QuantizeStatistics statistics = !values.defined() ? quantize(x.data(), codes)
                                        : values.dtype() == DType::bf16
                                            ? quantize(x.data(), codes, values.data<std::uint16_t>())
                                            : quantize(x.data(), codes, values.data());
  return finished(x, std::move(codes), std::move(values), statistics);
}

TransformResult Quantizer::quantized_with(const Tensor& block_scales, const Tensor& x) {
  QuantizedTensor codes = QuantizedTensor::allocate(format(), x.rows(), x.cols(), scale_->value());
  QAD_ASSERT(block_scales.shape() == codes.scales.shape() && block_scales.dtype() == codes.scales.dtype());
  codes.scales = block_scales;
  const QuantizeStatistics statistics = quantize_with_scales(x.data(), codes);
  return finished(x, std::move(codes), {}, statistics);
}

TransformResult Quantizer::finished(const Tensor& x, QuantizedTensor codes, Tensor values,
                                    const QuantizeStatistics& statistics) {
  const float tensor_scale = codes.tensor_scale;
  if (statistics.non_finite != 0)
    throw_not_finite(name_, fmt::format("{} of {} infinite or NaN", statistics.non_finite, x.size()));
  if (!recomputing()) {
    saturation_.values += x.size();
    saturation_.saturated += statistics.saturated;
  }

  const auto packed = std::make_shared<const PackedTensor>(std::move(codes));
  TransformResult result{packed, std::move(values), {}};
  if (ste_ == StraightThrough::clip && statistics.saturated != 0)
    result.backward = [mask = saturation_mask(x, format().saturation_limit(tensor_scale))](const Tensor& gradient) {
      zero_where_set(mask, gradient);
    };
  if (ste_ == StraightThrough::through_scale && x_stays())
    result.backward = [x, packed](const Tensor& gradient) {
      pass_through_scale(scale_residuals(x.data(), packed->tensor()), gradient);
    };
  else if (ste_ == StraightThrough::through_scale && recording())
    result.backward = [residuals = scale_residuals(x.data(), packed->tensor())](const Tensor& gradient) {
      pass_through_scale(residuals, gradient);
    };
  return result;
}

TransformResult WeightQuantizer::apply(const Tensor& x, std::uint64_t version, Readers /*readers*/) {
  if (observing()) {  // the scale reads the weights themselves when it is frozen
    was_read_ = true;
    return {operand_of(x), x, {}};
  }
  refresh(x, version);
  return cached_;
}

const QuantizedTensor& WeightQuantizer::codes(const Tensor& x, std::uint64_t version) {
  refresh(x, version);
  return dynamic_cast<const PackedTensor&>(*cached_.operand).tensor();
}

void WeightQuantizer::set_block_scales(Tensor scales) {
  if (scales.defined() && ste() == StraightThrough::through_scale) throw_scales_stay(name());
  block_scales_ = std::move(scales);
  cached_version_ = 0;
}

void WeightQuantizer::forget() {
  block_scales_ = {};
  cached_ = {};
  cached_version_ = 0;
}

void WeightQuantizer::search_block_scales(const Tensor& x) {
  if (!scales_can_be_searched(format())) return;
  const Tensor floats = as_f32(x);
  set_block_scales(scales_of_least_error(format(), floats.data(), floats.rows(), floats.cols(), scale().value()));
}

void WeightQuantizer::refresh(const Tensor& x, std::uint64_t version) {
  QAD_ASSERT(version != 0 && !observing());
  shared_scale().follow_weights();
  const std::uint64_t masters = learned_ != nullptr ? learned_->version() : 0;
  if (version == cached_version_ && scale().value() == cached_scale_ && masters == cached_masters_) return;
  if (x.dtype() != DType::f32 && learned_ == nullptr && ste() == StraightThrough::identity) {  // not trained
    QuantizedTensor codes = QuantizedTensor::allocate(format(), x.rows(), x.cols(), scale().value());
    if (block_scales_.defined()) codes.scales = block_scales_;
    const QuantizeStatistics statistics = quantize_by_rows(x, block_scales_.defined(), codes);
    cached_ = finished(x, std::move(codes), {}, statistics);
  } else {
    cached_ = !block_scales_.defined() ? quantized(as_f32(x), {})
              : learned_ != nullptr    ? quantized_by_learned(as_f32(x))
                                       : quantized_with(block_scales_, as_f32(x));
  }
  in_codes_ = Quantizer::take_saturation();
  cached_version_ = version;
  cached_scale_ = scale().value();
  cached_masters_ = masters;
}

TransformResult WeightQuantizer::quantized_by_learned(const Tensor& x) {
  LearnedScales::Result result = learned_->quantized(x, block_scales_, scale().value(), ste() == StraightThrough::clip);
  TransformResult transform = finished(x, std::move(result.codes), {}, result.statistics);
  transform.backward = std::move(result.backward);
  transform.learns = true;
  return transform;
}

void WeightQuantizer::set_scales(BlockScales scales, const Shape& shape) {
  if (scales == BlockScales::amax) return;
  if (ste() == StraightThrough::through_scale) throw_scales_stay(name());
  if (scales == BlockScales::found) scales_stay_ = true;
  else learned_ = std::make_unique<LearnedScales>(name(), format(), shape, scales == BlockScales::dual_lsq);
}

void WeightQuantizer::settle_scales(const Tensor& x) {
  if (!scales_stay_ && learned_ == nullptr) return;
  if (!block_scales_.defined()) {
    QuantizedTensor codes = QuantizedTensor::allocate(format(), x.rows(), x.cols(), scale().value());
    static_cast<void>(quantize(as_f32(x).data(), codes));
    set_block_scales(codes.scales);
  }
  if (learned_ != nullptr) learned_->start();
}

ParameterList WeightQuantizer::parameters() const {
  return learned_ != nullptr ? learned_->parameters() : ParameterList();
}

std::shared_ptr<ActivationQuantizer> frozen_quantizer(const std::string& name, const BlockFormat& format,
                                                      float tensor_scale) {
  auto scale = std::make_shared<TensorScale>(name, format, TensorScaleRound::none);
  scale->restore(format.saturation_limit(tensor_scale), tensor_scale, TensorScaleSource::calibration);
  auto quantizer = std::make_shared<ActivationQuantizer>(name, scale, StraightThrough::identity);
  quantizer->set_observing(false);
  return quantizer;
}

TransformResult ActivationQuantizer::apply(const Tensor& x, std::uint64_t /*version*/, Readers readers) {
  if (observing() || scale().follows_data()) {
    const Tensor floats = as_f32(x);
    const float largest = amax(floats.data(), floats.size(), floats.device());
    if (!std::isfinite(largest)) throw_not_finite(name(), "an infinity or NaN");
    if (observing()) {
      shared_scale().observe(largest);
      return {operand_of(x), x, {}};
    }
    shared_scale().follow(largest);
  }
  if (all_multiply(readers, format())) return quantized(as_f32(x), {});
  const bool in_bf16 = format().exact_in_bf16(scale().value()) && all_multiply_bf16(readers, x.device());
  return quantized(as_f32(x), Tensor(x.shape(), in_bf16 ? DType::bf16 : DType::f32));
}

}  // namespace qad
