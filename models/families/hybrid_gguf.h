// GGUF of families with recurrent layers: what llama.cpp asks of them all, and the names of the families below
// "backbone".
//
// Source: llama.cpp v0.5.0, src/llama-arch.cpp, src/models/{nemotron-h,mamba2,mamba-base}.cpp,
// conversion/{nemotron,mamba,granite}.py.
#pragma once

#include "models/families/gguf_family.h"

namespace qad {

/// Sizes that do not depend on the kinds of layers; heads where there is attention.
void add_hybrid_gguf_sizes(const ModelConfig& config, const std::string& architecture, GgufMetadata& metadata);
/// A number a layer: `number` where the layer is of this kind, else 0.
void add_gguf_by_layer(const ModelConfig& config, std::string_view kinds, std::int64_t number, const std::string& key,
                       GgufMetadata& metadata);
/// Experts chosen by a sigmoid and a bias, or by a softmax.
void add_gguf_experts(const ExpertsConfig& experts, const std::string& architecture, GgufMetadata& metadata);

/// The architecture mamba2.
extern const GgufFamily kMamba2Gguf;
/// nemotron_h, or nemotron_h_moe with experts.
extern const GgufFamily kNemotronHGguf;

}  // namespace qad
