// The gated feed-forward layer of a model.
#pragma once

#include "models/block.h"
#include "models/model_config.h"

namespace qad {

/// Layer `index` of a model with its norm, before the residual stream: parameters of "model.layers.INDEX.mlp" and
/// "model.layers.INDEX.post_attention_layernorm".
[[nodiscard]] Residual make_feed_forward(const ModelConfig& config, std::int64_t index, const ParameterMaker& make);

}  // namespace qad
