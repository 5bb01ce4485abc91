// A matrix in place of a layer, as architectures have it that were searched for (Llama-Nemotron).
#pragma once

#include "models/block.h"
#include "models/model_config.h"

namespace qad {

/// Layer `index` of a model with its norm: parameters "model.layers.INDEX.NORM.weight" and
/// "model.layers.INDEX.NAME.weight" [C, C]. `kind` is that of the layer in whose place it is.
[[nodiscard]] Residual make_linear_layer(const ModelConfig& config, std::int64_t index, ModuleKind kind,
                                         const char* norm, const char* name, const ParameterMaker& make);

}  // namespace qad
