// Where in a model's files a layer stands: families name their modules differently.
#pragma once

#include "models/block.h"
#include "models/model_config.h"

namespace qad {

struct LayerPlace {
  std::int64_t index = 0;    ///< of the block, from 0
  std::string module;        ///< model.layers.0.self_attn
  std::string norm;          ///< model.layers.0.input_layernorm: what normalises the layer's input
  float norm_offset = 0.0f;  ///< of the weights of norms (rms_norm.h)
};

/// The norm at this place, before a layer that is still to be made.
[[nodiscard]] Residual make_residual(const ModelConfig& config, const LayerPlace& place, const ParameterMaker& make);
/// Whose elements scale what comes out of that norm (LinearGroup::fed_by); null for norms with an offset.
[[nodiscard]] ParameterPointer scales_of(const Residual& part);
/// An RMS norm's weight, as fresh models have it.
[[nodiscard]] ParameterSpec norm_weight(const std::string& name, std::int64_t size, float offset = 0.0f);

}  // namespace qad
