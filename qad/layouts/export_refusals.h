// What a layout can't hold, told before any work: from a model's sizes and a recipe's rules alone, and once more of a
// student in memory before it is packed. All of it at once, by patterns of layers.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/families/linear_shapes.h"
#include "qad/layouts/exporter.h"
#include "qad/quant/layer_refusals.h"
#include "qad/quant/policy.h"

namespace qad {

struct OutlineLinear {
  std::string name;
  std::int64_t in_features = 0;
  LayerFormats formats;
  bool pow2_scales = true;  ///< tensor scales of weight and input are powers of two
};

/// What an export would hold.
struct ExportOutline {
  ModelConfig config;
  std::vector<OutlineLinear> linears;  ///< every linear layer, quantized or not
  const BlockFormat* cache = nullptr;  ///< of keys and values; null: they are not quantized

  /// To gather refusals of these layers.
  [[nodiscard]] LayerRefusals layer_refusals() const;
};
[[nodiscard]] ExportOutline outline_of(const ModelConfig& config, std::span<const LinearShape> layers,
                                       const QuantizeConfig& quantize);
/// `config` for layouts that look at it: that of model.config_json.
[[nodiscard]] ExportOutline outline_of(const ExportModel& model, const ModelConfig& config);

/// Everything for which the layout has no place, its name first in each; empty: it can hold the model.
[[nodiscard]] std::vector<Refusal> export_refusals(const Exporter& exporter, const ExportOutline& outline);

/// Throws that of a model which is about to be packed.
void check_holds(std::string_view layout, const ExportModel& model, const ModelConfig& config = {});

}  // namespace qad
