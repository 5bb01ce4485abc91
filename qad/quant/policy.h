// From a layer's name to its number formats, by the rules of a QuantizeConfig.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "qad/quant/quant_config.h"

namespace qad {

/// Whether the whole of `text` fits `pattern`: * is any run of characters, ? any single one.
[[nodiscard]] bool glob_match(std::string_view pattern, std::string_view text);

struct LayerFormats {
  const BlockFormat* weights = nullptr;  ///< null: stay as they are
  const BlockFormat* inputs = nullptr;
  friend bool operator==(const LayerFormats&, const LayerFormats&) = default;
};

class Policy {
 public:
  /// Throws, naming the rule, if a number format is unknown.
  explicit Policy(const std::vector<QuantizeRule>& rules);
  /// What the last rule that matches says; nothing is quantized where none does.
  [[nodiscard]] LayerFormats operator()(std::string_view layer) const;
  /// The index of that rule; -1 where none matches.
  [[nodiscard]] int rule_of(std::string_view layer) const;

 private:
  struct Rule {
    std::string layers;
    LayerFormats formats;
  };
  std::vector<Rule> rules_;
};

/// A name with * for its numbers, which many layers share: model.layers.12.mlp.up_proj -> model.layers.*.mlp.up_proj.
[[nodiscard]] std::string pattern_of(const std::string& name);

/// "nvfp4", or "none".
[[nodiscard]] std::string_view name_of(const BlockFormat* format);

}  // namespace qad
