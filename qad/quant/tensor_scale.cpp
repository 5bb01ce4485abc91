#include "qad/quant/tensor_scale.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "qad/formats/quantize.h"

namespace qad {
namespace {

std::shared_ptr<const Parameter> alive(const std::weak_ptr<const Parameter>& weight) {
  auto parameter = weight.lock();
  QAD_ASSERT(parameter != nullptr);
  return parameter;
}

// As qad::amax: magnitudes of BF16 lie in the order of their bits.
float amax_bf16(const Tensor& values) {
  const std::uint16_t* const bits = values.data<std::uint16_t>();
  std::atomic<std::uint16_t> largest = 0;
  parallel_for(values.size(), 1 << 18, [&](std::int64_t begin, std::int64_t end) {
    std::uint16_t own = 0;
    for (std::int64_t i = begin; i < end; ++i) own = std::max(own, static_cast<std::uint16_t>(bits[i] & 0x7fffu));
    std::uint16_t seen = largest;
    while (own > seen && !largest.compare_exchange_weak(seen, own)) {
    }
  });
  return bf16_to_f32(largest);
}

}  // namespace

TensorScale::TensorScale(std::string name, const BlockFormat& format, TensorScaleRound round, TensorScaleSource source,
                         double headroom)
    : name_(std::move(name)),
      format_(&format),
      round_(round),
      source_(source),
      headroom_(static_cast<float>(headroom)) {}

void TensorScale::start_observing(float seen) {
  observed_ = seen > 0.0f;
  amax_ = seen;
}

void TensorScale::observe(float amax) {
  observed_ = true;
  amax_ = std::max(amax_, amax);
}

void TensorScale::end_observing(TensorScaleSource from) {
  from_ = from;
  seen_versions_ = 0;
  if (!weights_.empty()) amax_ = weights_amax();
  else if (!observed_ && from == TensorScaleSource::calibration && format_->has_tensor_scale)
    throw Error(
        {name_, "calibration to reach this layer", "no token of it", "calibrate on more tokens, or exclude it"});
  const bool has_room = weights_.empty() && from == TensorScaleSource::calibration;
  value_ = tensor_scale_from_amax(*format_, has_room ? headroom_ * amax_ : amax_, round_);
}

void TensorScale::follow_weights() {
  QAD_ASSERT(!weights_.empty());
  std::uint64_t versions = 0;
  for (const auto& weight : weights_) versions += alive(weight)->version();
  if (!follows_data() || versions == seen_versions_) return;
  seen_versions_ = versions;
  follow(weights_amax());
}

void TensorScale::follow(float amax) {
  if (!follows_data()) return;
  amax_ = amax;
  value_ = tensor_scale_from_amax(*format_, amax, round_);
}

void TensorScale::restore(float amax, float value, TensorScaleSource from) {
  amax_ = amax;
  value_ = value;
  from_ = from;
  observed_ = true;
  seen_versions_ = 0;
}

float TensorScale::weights_amax() const {
  float largest = 0.0f;
  for (const auto& kept : weights_) {
    const auto weight = alive(kept);
    const Tensor& value = weight->value();
    const Tensor floats = value.dtype() == DType::bf16 ? Tensor() : as_f32(value);
    const float amax = floats.defined() ? qad::amax(floats.data(), floats.size()) : amax_bf16(value);
    if (!std::isfinite(amax))
      throw NotFinite({.who = weight->name, .expected = "finite values", .got = "an infinity or NaN"});
    largest = std::max(largest, amax);
  }
  return largest;
}

}  // namespace qad
