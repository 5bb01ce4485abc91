// A sparse feed-forward layer: a router sends each token to a few of many gated experts (Shazeer et al., 2017,
// https://arxiv.org/abs/1701.06538); some layers have a shared one that every token goes to.
#pragma once

#include "models/layers/layer_place.h"

namespace qad {

/// What a family calls the parts of the layer: MODULE.gate is the router, MODULE.experts.EXPERT.GATE a projection.
struct ExpertNames {
  const char* module = "mlp";      ///< last part of its own name
  const char* gate = "gate_proj";  ///< null: experts without a gate, with a squared ReLU
  const char* up = "up_proj";
  const char* down = "down_proj";
  const char* shared = "shared_experts";  ///< with gate_proj, up_proj and down_proj
  const char* shared_gate = nullptr;      ///< one number a token says how much of the shared expert it takes; null: all
};

/// A layer with its norm, before the residual stream. The experts share one slot for their inputs and one for those of
/// their down projections; a shared expert has its own. With a latent size the routed experts read
/// MODULE.fc1_latent_proj of the input, and their sum goes through MODULE.fc2_latent_proj (Nemotron 3 Super); the
/// router and the shared expert read the input itself.
[[nodiscard]] Residual make_experts(const ModelConfig& config, const LayerPlace& place, const ExpertNames& names,
                                    const ParameterMaker& make);

}  // namespace qad
