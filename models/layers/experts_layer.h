// A sparse feed-forward layer: a router sends each token to a few of many gated experts (Shazeer et al., 2017,
// https://arxiv.org/abs/1701.06538; with softmax routing as in Mixtral and Qwen3-MoE).
#pragma once

#include "models/block.h"
#include "models/model_config.h"

namespace qad {

/// Layer `index` of a model with its norm, before the residual stream: parameters of "model.layers.INDEX.mlp.gate",
/// "model.layers.INDEX.mlp.experts.EXPERT" and "model.layers.INDEX.post_attention_layernorm". The experts share one
/// slot for their inputs and one for those of their down projections.
[[nodiscard]] Residual make_experts(const ModelConfig& config, std::int64_t index, const ParameterMaker& make);

}  // namespace qad
