// Gated DeltaNet (Yang et al., 2024, https://arxiv.org/abs/2412.06464) as Qwen3-Next has it: a recurrence that corrects
// what it remembers, and forgets by head. It remembers the state of the recurrence and the last inputs of its
// convolution.
#pragma once

#include "models/layers/layer_place.h"

namespace qad {

/// How the projections lie in a model's files.
enum class DeltaNetProjections : std::uint8_t {
  by_key_head,  ///< in_proj_qkvz and in_proj_ba: of every key head q, k, v and z side by side; b and a (Qwen3-Next)
  apart,        ///< in_proj_qkv, in_proj_z, in_proj_b, in_proj_a (Qwen3.5)
};

/// A layer with its norm: the projections, MODULE.conv1d over q, k and v, .A_log, .dt_bias, .norm, .out_proj.
[[nodiscard]] Residual make_gated_delta_net(const ModelConfig& config, const LayerPlace& place,
                                            DeltaNetProjections projections, const ParameterMaker& make);

}  // namespace qad
