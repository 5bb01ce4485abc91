// Multi-head latent attention (DeepSeek-V2, 2024, https://arxiv.org/abs/2405.04434, section 2.1): keys and values of
// all heads are made of one narrow vector, and a part of the keys that carries the positions is shared by all heads.
#pragma once

#include <memory>

#include "models/layers/layer_place.h"
#include "models/layers/rotary.h"

namespace qad {

/// A layer with its norm: MODULE.q_proj, or .q_a_proj and .q_b_proj, .kv_a_proj_with_mqa, .kv_b_proj, .o_proj. `rotary`
/// turns neighbours; null: no positions. The norms inside have an epsilon of 1e-6 whatever the config says, as in
/// transformers. It remembers whole keys and values.
[[nodiscard]] Residual make_latent_attention(const ModelConfig& config, const LayerPlace& place,
                                             const std::shared_ptr<Rotary>& rotary, const ParameterMaker& make);

}  // namespace qad
