// A matrix in place of a layer, as architectures have it that were searched for (Llama-Nemotron).
#pragma once

#include "models/layers/layer_place.h"

namespace qad {

/// A layer with its norm: MODULE.weight [C, C]. `kind` is that of the layer in whose place it is.
[[nodiscard]] Residual make_linear_layer(const ModelConfig& config, const LayerPlace& place, ModuleKind kind,
                                         const ParameterMaker& make);

}  // namespace qad
