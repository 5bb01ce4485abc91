// Self-attention as a layer of a model. It remembers keys and values.
#pragma once

#include <memory>

#include "models/block.h"
#include "models/layers/rotary.h"
#include "models/model_config.h"

namespace qad {

/// Layer `index` of a model with its norm, before the residual stream: parameters of "model.layers.INDEX.self_attn" and
/// "model.layers.INDEX.input_layernorm". `rotary` is shared by all layers.
[[nodiscard]] Residual make_attention(const ModelConfig& config, std::int64_t index,
                                      const std::shared_ptr<Rotary>& rotary, const ParameterMaker& make);

}  // namespace qad
