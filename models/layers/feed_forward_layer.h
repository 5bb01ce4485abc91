// The feed-forward layer of a model: gated, or with a squared ReLU (So et al., 2021,
// https://arxiv.org/abs/2109.08668).
#pragma once

#include "models/layers/layer_place.h"

namespace qad {

/// A layer with its norm, before the residual stream: MODULE.gate_proj unless it has a squared ReLU, .up_proj,
/// .down_proj.
[[nodiscard]] Residual make_feed_forward(const ModelConfig& config, const LayerPlace& place, const ParameterMaker& make,
                                         bool squared_relu = false);

}  // namespace qad
