#include "qad/quant/tensor_scale.h"

#include <algorithm>
#include <cmath>

#include "autograd/base/error.h"
#include "qad/formats/quantize.h"
#include "qad/quant/rows_in_f32.h"

namespace qad {
namespace {

std::shared_ptr<const Parameter> alive(const std::weak_ptr<const Parameter>& weight) {
  auto parameter = weight.lock();
  QAD_ASSERT(parameter != nullptr);
  return parameter;
}

}  // namespace

TensorScale::TensorScale(std::string name, const BlockFormat& format, TensorScaleRound round, TensorScaleSource source)
    : name_(std::move(name)), format_(&format), round_(round), source_(source) {}

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
  value_ = tensor_scale_from_amax(*format_, amax_, round_);
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
    for_rows_in_f32(weight->value(), [&](std::int64_t /*row*/, const Tensor& floats) {
      const float amax = qad::amax(floats.data(), floats.size());
      if (!std::isfinite(amax))
        throw NotFinite({.who = weight->name, .expected = "finite values", .got = "an infinity or NaN"});
      largest = std::max(largest, amax);
    });
  }
  return largest;
}

}  // namespace qad
