// The tensor scale of one operand, or of the weights of a fused group, which share it because serving engines run them
// as one matrix. It watches during calibration, then is frozen or follows the data.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "autograd/nn/parameter.h"
#include "qad/quant/quant_config.h"

namespace qad {

class TensorScale {
 public:
  /// `source`: where it comes from by its rule, once observing ends. `headroom`: of an operand that calibration saw,
  /// its scale is that of an amax so many times as large; weights are known and need none, but for those in MXFP4
  /// already, which keep their block scales then.
  TensorScale(std::string name, const BlockFormat& format, TensorScaleRound round,
              TensorScaleSource source = TensorScaleSource::calibration, double headroom = 1);

  /// Makes this the scale of weights: its amax is theirs at the time of end_observing(), or always the present one's.
  void add_weight(const ParameterPointer& weight) { weights_.push_back(weight); }

  /// Forgets what was seen so far, or goes on with an amax from a checkpoint.
  void start_observing(float seen = 0.0f);
  /// Widens the amax (a finite one) to that of an operand that came by.
  void observe(float amax);
  /// Ends observing. Throws if the scale is to come from calibration, yet no operand ever came by.
  void end_observing(TensorScaleSource from);
  /// Brings a scale that comes from the data up to date: with the weights, or with an operand of this amax.
  void follow_weights();
  void follow(float amax);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const BlockFormat& format() const { return *format_; }
  [[nodiscard]] float value() const { return value_; }  ///< the multiplier
  [[nodiscard]] float amax() const { return amax_; }    ///< as it was seen, without headroom
  [[nodiscard]] TensorScaleRound round() const { return round_; }
  [[nodiscard]] TensorScaleSource source() const { return source_; }
  [[nodiscard]] bool follows_data() const { return from_ == TensorScaleSource::data; }
  /// From a checkpoint; exact, because it is frozen as it was.
  void restore(float amax, float value, TensorScaleSource from);

 private:
  [[nodiscard]] float weights_amax() const;

  std::string name_;
  const BlockFormat* format_;
  TensorScaleRound round_;
  TensorScaleSource source_;  ///< by its rule
  float headroom_;
  TensorScaleSource from_ = TensorScaleSource::calibration;
  std::vector<std::weak_ptr<const Parameter>> weights_;  ///< weak: a weight's slot owns its quantizer, which owns this
  std::uint64_t seen_versions_ = 0;                      ///< sum of the weights' versions that the value belongs to
  bool observed_ = false;
  float amax_ = 0.0f, value_ = 1.0f;
};

}  // namespace qad
