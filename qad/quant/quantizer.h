// What fills a slot: it watches an operand during calibration, and afterwards stands in for it with what its number
// format can hold. Training, evaluation and export see a weight through the same object, hence the same bits.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "autograd/tape/operand_transform.h"
#include "qad/formats/quantize.h"
#include "qad/quant/learned_scales.h"
#include "qad/quant/tensor_scale.h"

namespace qad {

struct SaturationCount {
  std::int64_t values = 0;     ///< quantized since the last count
  std::int64_t saturated = 0;  ///< of these, beyond what the tensor scale can hold
};

/// Common to both kinds. A value that is not finite is an Error that names the operand.
class Quantizer : public OperandTransform {
 public:
  /// `name` as it stands in errors: a parameter ("model.layers.0.mlp.up_proj.weight") or an input. through_scale in a
  /// format without block scales is an Error.
  Quantizer(std::string name, std::shared_ptr<TensorScale> scale, StraightThrough ste);

  /// While observing, operands pass unchanged; a fresh quantizer observes.
  void set_observing(bool observing) { observing_ = observing; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const BlockFormat& format() const { return scale_->format(); }
  [[nodiscard]] const TensorScale& scale() const { return *scale_; }
  /// Parameters of its own, which are trained and saved with the model's, by their names: scales have Role::scale.
  /// Whose result follows from them makes it anew when their version does. apply() gives them their gradients in the
  /// `backward` of its result.
  [[nodiscard]] virtual ParameterList parameters() const { return {}; }
  /// The counts so far, which start again at zero. What recompute quantizes again counts once.
  [[nodiscard]] virtual SaturationCount take_saturation();

 protected:
  [[nodiscard]] bool observing() const { return observing_; }
  [[nodiscard]] TensorScale& shared_scale() { return *scale_; }
  [[nodiscard]] StraightThrough ste() const { return ste_; }
  /// From codes and the rule of their gradient: counts, and throws for what is not finite.
  [[nodiscard]] TransformResult finished(const Tensor& x, QuantizedTensor codes, Tensor values,
                                         const QuantizeStatistics& statistics);
  /// Quantizes with the present scale; `values` (FP32, or BF16 where that is exact), if given,
  /// receives the rounded values.
  [[nodiscard]] TransformResult quantized(const Tensor& x, Tensor values);
  /// The same with block scales that were chosen.
  [[nodiscard]] TransformResult quantized_with(const Tensor& block_scales, const Tensor& x);

 private:
  /// Whether x is still there, unchanged, when the gradient comes.
  [[nodiscard]] virtual bool x_stays() const { return false; }

  std::string name_;
  std::shared_ptr<TensorScale> scale_;
  StraightThrough ste_;
  bool observing_ = true;
  SaturationCount saturation_;
};

/// Of a parameter: quantizes once per version of it (or when the scale of its group has moved) and keeps the codes.
class WeightQuantizer final : public Quantizer {
 public:
  using Quantizer::Quantizer;
  [[nodiscard]] TransformResult apply(const Tensor& x, std::uint64_t version, Readers readers = {}) override;
  /// Whether anybody asked for the weight while it was observed: of an expert, whether a token came.
  [[nodiscard]] bool was_read() const { return was_read_; }
  void set_was_read(bool was_read) { was_read_ = was_read; }
  /// Block scales that stay as they are while the weight moves, or that learned ones began with, [rows, blocks];
  /// undefined: each follows the amax of its block.
  [[nodiscard]] const Tensor& block_scales() const { return block_scales_; }
  void set_block_scales(Tensor scales);  ///< an Error with through_scale
  /// What they do once settle_scales() was called, of a weight of this shape; unless this is called, what the algorithm
  /// made of them.
  void set_scales(BlockScales scales, const Shape& shape);
  /// After calibration, for these values.
  void settle_scales(const Tensor& x);
  [[nodiscard]] ParameterList parameters() const override;
  /// Those of the least squared error for these values (block_scales.h), where the format's scales can be searched.
  void search_block_scales(const Tensor& x);
  /// The codes that a forward with these values uses, for export.
  [[nodiscard]] const QuantizedTensor& codes(const Tensor& x, std::uint64_t version);
  /// Goes up with each version of the weight or its scales that codes were made of.
  [[nodiscard]] std::uint64_t codes_version() const { return cached_version_ + cached_masters_; }
  /// Lets go of codes and block scales, which are found anew if somebody asks.
  void forget();
  /// Of the codes in use, however often they were asked for: whether they are kept or made anew changes no count.
  [[nodiscard]] SaturationCount take_saturation() override { return in_codes_; }

 private:
  [[nodiscard]] bool x_stays() const override { return true; }
  [[nodiscard]] TransformResult quantized_by_learned(const Tensor& x);
  void refresh(const Tensor& x, std::uint64_t version);

  Tensor block_scales_;
  bool scales_stay_ = false;
  std::unique_ptr<LearnedScales> learned_;
  std::uint64_t cached_masters_ = 0;  ///< the version of those that learned_ has
  TransformResult cached_;
  std::uint64_t cached_version_ = 0;
  float cached_scale_ = 0.0f;
  SaturationCount in_codes_;
  bool was_read_ = false;
};

/// Of what flows through the model: the input of linear layers, keys, values. Gives codes alone where its readers
/// multiply those, else codes and floats in one pass.
class ActivationQuantizer final : public Quantizer {
 public:
  using Quantizer::Quantizer;
  [[nodiscard]] TransformResult apply(const Tensor& x, std::uint64_t version, Readers readers = {}) override;
};

/// One that was calibrated elsewhere.
[[nodiscard]] std::shared_ptr<ActivationQuantizer> frozen_quantizer(const std::string& name, const BlockFormat& format,
                                                                    float tensor_scale);

}  // namespace qad
