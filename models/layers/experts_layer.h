// A sparse feed-forward layer: a router sends each token to a few of many gated experts (Shazeer et al., 2017,
// https://arxiv.org/abs/1701.06538); some layers have a shared one that every token goes to.
#pragma once

#include "models/block.h"
#include "models/model_config.h"

namespace qad {

/// What a family calls the parts of the layer: MODULE.gate is the router, MODULE.experts.EXPERT.GATE a projection.
struct ExpertNames {
  const char* module = "mlp";
  const char* gate = "gate_proj";
  const char* up = "up_proj";
  const char* down = "down_proj";
};

/// Layer `index` of a model with its norm, before the residual stream: parameters of "model.layers.INDEX.MODULE" and
/// "model.layers.INDEX.post_attention_layernorm". The experts share one slot for their inputs and one for those of
/// their down projections; a shared expert has its own.
[[nodiscard]] Residual make_experts(const ModelConfig& config, std::int64_t index, const ExpertNames& names,
                                    const ParameterMaker& make);

}  // namespace qad
