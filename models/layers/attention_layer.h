// Self-attention as a layer of a model. It remembers keys and values.
#pragma once

#include <memory>

#include "models/layers/layer_place.h"
#include "models/layers/rotary.h"

namespace qad {

/// A layer with its norm, before the residual stream: MODULE.q_proj, .k_proj, .v_proj, .o_proj, and .q_norm and .k_norm
/// where the config has them. `rotary` is shared by all layers; null: no positions. `gated`: q_proj also makes a gate
/// of what attention gives (Qwen3-Next).
[[nodiscard]] Residual make_attention(const ModelConfig& config, const LayerPlace& place,
                                      const std::shared_ptr<Rotary>& rotary, const ParameterMaker& make,
                                      bool gated = false);

}  // namespace qad
