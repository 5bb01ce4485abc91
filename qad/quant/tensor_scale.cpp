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

// Whether all of them are ±1 or ±1.5 times a power of two, as those of E2M1 codes under such scales are (MXFP4).
bool are_scaled_e2m1(const Tensor& values) {
  const auto all = [&](auto* bits, auto below_the_leading) {
    return std::all_of(bits, bits + values.size(), [=](auto one) { return (one & below_the_leading) == 0; });
  };
  if (values.dtype() == DType::bf16) return all(values.data<std::uint16_t>(), std::uint16_t{0x3f});
  const Tensor floats = as_f32(values);
  return all(reinterpret_cast<const std::uint32_t*>(floats.data()), std::uint32_t{0x3fffff});
}

// A block scale of E2M1 codes is amax/6 at first, but of values that were such codes before it may have been amax/4.
constexpr float kRoomForCodes = 1.5f;

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
  float room = weights_.empty() && from == TensorScaleSource::calibration ? headroom_ : 1.0f;
  if (!weights_.empty() && format_->element == &kE2M1 &&
      std::ranges::all_of(weights_, [](const auto& weight) { return are_scaled_e2m1(alive(weight)->value()); }))
    room = kRoomForCodes;
  value_ = tensor_scale_from_amax(*format_, room * amax_, round_);
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
