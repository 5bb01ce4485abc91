// A Mamba-2 layer (Dao and Gu, 2024, https://arxiv.org/abs/2405.21060, section 7): one projection makes a gate, what is
// written, how it is written and read, and the time steps; a short convolution, the recurrence, a gated norm, and the
// way back. It remembers the state of the recurrence and the last inputs of the convolution.
#pragma once

#include "models/layers/layer_place.h"

namespace qad {

/// A layer with its norm: MODULE.in_proj (rows z | x | B | C | dt), .conv1d, .A_log, .D, .dt_bias, .norm, .out_proj.
[[nodiscard]] Residual make_mamba(const ModelConfig& config, const LayerPlace& place, const ParameterMaker& make);

}  // namespace qad
