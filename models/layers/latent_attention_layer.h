// Multi-head latent attention (DeepSeek-V2, 2024, https://arxiv.org/abs/2405.04434, section 2.1): keys and values of
// all heads are made of one narrow vector, and a part of the keys that carries the positions is shared by all heads.
#pragma once

#include <memory>

#include "models/block.h"
#include "models/layers/rotary.h"

namespace qad {

/// Layer `index` of a model with its norm: parameters of "model.layers.INDEX.self_attn" and
/// "model.layers.INDEX.input_layernorm". `rotary` turns neighbours. The norms inside have an epsilon of 1e-6 whatever
/// the config says, as in transformers. It remembers whole keys and values.
[[nodiscard]] Residual make_latent_attention(const ModelConfig& config, std::int64_t index,
                                             const std::shared_ptr<Rotary>& rotary, const ParameterMaker& make);

}  // namespace qad
