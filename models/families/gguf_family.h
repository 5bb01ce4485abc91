// What a family is called in llama.cpp's GGUF, and what llama.cpp can't be told of it. How the file is packed:
// qad/layouts/gguf.h.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/files/gguf.h"
#include "models/model_config.h"

namespace qad {

/// A module: "self_attn.q_proj" is "attn_q". Where `ours` has a *, it stands for the number of an expert, and all of
/// them are one tensor there.
struct GgufName {
  std::string_view ours, theirs;
  bool linear;        ///< or a router: a matrix that could be quantized
  bool wide = false;  ///< FP32: llama.cpp rounds the input of a BF16 matrix to BF16, and a router would choose others
};

/// A value of config.json that llama.cpp has no place for.
struct GgufRefusal {
  std::string key, expected, got;
};

struct GgufFamily {
  std::string_view architecture;  ///< general.architecture

  std::span<const GgufName> in_layer;      ///< modules of model.layers.N, which is blk.N there
  std::span<const GgufName> around;        ///< all others
  std::span<const GgufName> experts = {};  ///< more of those in a layer
  /// Modules in a layer whose rows llama.cpp turns as neighbours, 2i and 2i+1 of a head, where Hugging Face turns i and
  /// i + head_dim/2.
  std::span<const std::string_view> neighbours = {};

  /// Adds what llama.cpp asks for under the architecture's own keys, "<architecture>.…".
  void (*add_sizes)(const ModelConfig& config, const std::string& architecture, GgufMetadata& metadata);
  void (*refuse)(const ModelConfig& config, std::vector<GgufRefusal>& refusals);
  /// llama.cpp multiplies a product with its tensor scale in most places: why it does not for this layer; empty: it
  /// does.
  std::string (*place_without_scale)(const std::string& layer, const ModelConfig& config);
};

}  // namespace qad
