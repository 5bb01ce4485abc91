// Kimi Delta Attention (Kimi Linear, 2025, https://arxiv.org/abs/2510.26692): a recurrence that corrects what it
// remembers, and forgets by channel. It remembers the state of the recurrence and the last inputs of its convolutions.
#pragma once

#include "models/layers/layer_place.h"

namespace qad {

/// A layer with its norm: MODULE.q_proj, .k_proj, .v_proj, each with its .q_conv1d; .f_a_proj, .f_b_proj, .A_log and
/// .dt_bias make the decay, .b_proj how much is corrected, .g_a_proj and .g_b_proj the gate behind .o_norm; .o_proj.
[[nodiscard]] Residual make_kda(const ModelConfig& config, const LayerPlace& place, const ParameterMaker& make);

}  // namespace qad
