// From a linear layer to all that a recipe says of its quantizers: by the rules of a QuantizeConfig, and by its own
// keys where a rule says nothing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "models/families/linear_shapes.h"
#include "qad/quant/quant_config.h"

namespace qad {

/// Whether the whole of `text` fits `pattern`: * is any run of characters, ? any single one.
[[nodiscard]] bool glob_match(std::string_view pattern, std::string_view text);

/// By name, kind and place.
[[nodiscard]] bool matches(const QuantizeRule& rule, const LinearShape& layer);
/// What a rule asks beside the name, for people: ", mamba before attention", or nothing.
[[nodiscard]] std::string place_text(const QuantizeRule& rule);

struct LayerFormats {
  const BlockFormat* weights = nullptr;  ///< null: stay as they are
  const BlockFormat* inputs = nullptr;
  friend bool operator==(const LayerFormats&, const LayerFormats&) = default;
};

struct LayerOptions {
  LayerFormats formats{};
  TensorScaleConfig tensor_scale{};
  StraightThrough ste = StraightThrough::identity;  ///< of the weights
  StraightThrough input_ste = StraightThrough::identity;
  CalibrationKind algorithm = CalibrationKind::max;  ///< of the weights
  /// Of the weights, if they have any and something is said: else the algorithm decides.
  std::optional<BlockScales> scales{};
};

class Policy {
 public:
  /// `algorithm` is that of rules that name none. Throws, naming the rule or key, if a number format is unknown.
  explicit Policy(const QuantizeConfig& config, CalibrationKind algorithm = CalibrationKind::max);
  /// What the last rule that matches says; nothing is quantized where none does.
  [[nodiscard]] LayerFormats operator()(const LinearShape& layer) const { return options(layer).formats; }
  [[nodiscard]] LayerOptions options(const LinearShape& layer) const;
  /// Of keys and values, which no rule names: where their format has no block scales, no gradient passes through these.
  [[nodiscard]] LayerOptions cache() const { return cache_; }
  /// The index of that rule; -1 where none matches.
  [[nodiscard]] int rule_of(const LinearShape& layer) const;
  [[nodiscard]] const LayerOptions& of_rule(int rule) const { return rules_[static_cast<std::size_t>(rule)].options; }

 private:
  struct Rule {
    QuantizeRule said;
    LayerOptions options;
  };
  std::vector<Rule> rules_;
  LayerOptions cache_;
};

/// A name with * for its numbers, which many layers share: model.layers.12.mlp.up_proj -> model.layers.*.mlp.up_proj.
[[nodiscard]] std::string pattern_of(const std::string& name);

/// "nvfp4", or "none".
[[nodiscard]] std::string_view name_of(const BlockFormat* format);

}  // namespace qad
