// Puts quantizers into a model's slots as the recipe's rules say, and keeps them together: for calibration, for the
// counts in the log, for checkpoints and for export.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "models/language_model.h"
#include "qad/quant/policy.h"
#include "qad/quant/quant_config.h"
#include "qad/quant/quantizer.h"

namespace qad {

/// Every linear layer of the model, quantized or not.
struct LinearQuantizers {
  std::string layer;                                 ///< module name
  std::string group;                                 ///< name of its input group
  ParameterPointer weight;                           ///< [out, in]
  std::shared_ptr<WeightQuantizer> weights;          ///< null: not quantized
  std::shared_ptr<ActivationQuantizer> inputs;       ///< shared by the group; null: not quantized
  CalibrationKind algorithm = CalibrationKind::max;  ///< how the scales of `weights` are found
};

struct CacheQuantizers {
  std::string attention;  ///< model.layers.0.self_attn
  std::shared_ptr<ActivationQuantizer> keys, values;
};

/// Values beyond what their tensor scale can hold.
struct SaturationCounts {
  std::int64_t weights = 0, activations = 0;              ///< saturated
  std::int64_t weight_values = 0, activation_values = 0;  ///< all
};

class QuantizerSet {
 public:
  using NamedValue = std::pair<std::string, double>;
  static constexpr const char* kBlockScales = ".block_scales";

  /// Empty: nothing is quantized.
  QuantizerSet() = default;

  [[nodiscard]] const std::vector<LinearQuantizers>& linears() const { return linears_; }
  [[nodiscard]] const std::vector<CacheQuantizers>& caches() const { return caches_; }
  [[nodiscard]] bool empty() const { return quantizers_.empty(); }
  /// Whether fused groups share their weight scale; export refuses a student that does not.
  [[nodiscard]] bool shares_groups() const { return shares_groups_; }

  /// From now on operands pass unchanged and are watched; what was seen before is forgotten.
  void observe();
  /// Whether they do, without a change of what was seen.
  void set_observing(bool observing);
  /// The same, going on from a state() that was taken while others observed. Names that do not fit are an Error that
  /// names `file`.
  void observe_further(std::span<const NamedValue> state, const std::string& file);
  /// Ends that: scales come from what was seen, or follow the data, each as its rule says or all as `all` does: before
  /// an export they are to come from calibration. Throws, naming the operand, if a layer never saw a token.
  /// What each rank has observed becomes what all have. Called by all together.
  void share_observed();
  void end_observing(std::optional<TensorScaleSource> all = {});

  /// The same quantizers, those that are `wanted` alone. Linear layers without one of them are left out.
  [[nodiscard]] QuantizerSet only(const std::function<bool(const Quantizer&)>& wanted) const;

  // For who fills a slot with a quantizer of another kind: it is one of this set from then on.
  [[nodiscard]] std::shared_ptr<TensorScale> make_scale(std::string name, const BlockFormat& format,
                                                        const TensorScaleConfig& config);
  void add(std::shared_ptr<Quantizer> quantizer);

  /// What the quantizers train themselves, each once.
  [[nodiscard]] ParameterList parameters() const;

  /// Counts since the last call, of all ranks, which call this together.
  [[nodiscard]] SaturationCounts take_saturation();

  /// All scales, for a checkpoint; doubles hold them exactly.
  [[nodiscard]] std::vector<NamedValue> state() const;
  /// Block scales that were chosen, by names that end in kBlockScales; the tensors are those in use.
  using NamedTensors = std::map<std::string, Tensor>;
  [[nodiscard]] NamedTensors state_tensors() const;
  /// The reverse of both; quantizes from then on. Names and shapes that do not fit are an Error that names `file`.
  void restore(std::span<const NamedValue> state, const std::string& file, const NamedTensors& tensors = {});

 private:
  friend QuantizerSet attach_quantizers(LanguageModel& model, const QuantizeConfig& config, CalibrationKind algorithm);

  void restore_block_scales(NamedTensors tensors, const std::string& file);
  std::shared_ptr<ActivationQuantizer> make_activation(const std::string& name, const LayerOptions& options);

  bool shares_groups_ = true;
  std::vector<LinearQuantizers> linears_;
  std::vector<CacheQuantizers> caches_;
  std::vector<std::shared_ptr<TensorScale>> scales_;  ///< each once
  std::vector<std::shared_ptr<Quantizer>> quantizers_;
};

/// Fills the slots of `model`, those of parameters that no rule quantizes with BF16 rounding (or none, as `unquantized`
/// says); the quantizers observe until end_observing(). `algorithm` is that of rules that name none. Throws Error
/// (usage): what quantize_refusals and cache_refusals (layer_refusals.h) find.
[[nodiscard]] QuantizerSet attach_quantizers(LanguageModel& model, const QuantizeConfig& config,
                                             CalibrationKind algorithm = CalibrationKind::max);

/// All that training moves: the model's parameters, then those of its quantizers.
[[nodiscard]] ParameterList trained_parameters(LanguageModel& model, const QuantizerSet& quantizers);

/// Throws NotFinite, naming the first, for values of parameters without a quantizer that their rounding to BF16 makes
/// infinite.
void check_unquantized(LanguageModel& model, const QuantizeConfig& config);

/// One line per kind of layer and format for people: names (with * for the layer's number), count, shape, formats.
struct QuantizerTableRow {
  std::string layers;
  std::int64_t count = 0;
  Shape shape;  ///< [out, in]
  std::string weights, inputs;
  double bits_per_weight = 0;  ///< of these weights; 16 where they are not quantized; NaN for keys and values
};
[[nodiscard]] std::vector<QuantizerTableRow> quantizer_table(const QuantizerSet& quantizers);

/// Over all parameters of the model as exported: BF16 for what is not quantized.
[[nodiscard]] double bits_per_weight(LanguageModel& model, const QuantizerSet& quantizers);

}  // namespace qad
