// What a family is called in llama.cpp's GGUF, and what llama.cpp can't be told of it. How the file is packed:
// qad/layouts/gguf.h.
#pragma once

#include <cstdint>
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

/// How the numbers of a tensor stand there.
enum class GgufNumbers : std::uint8_t { same, negative_exponential, one_more };
/// How its axes stand there: [n] as [n, 1], [1, 1, n, 1] as [n, 1], [n, 1, k] as [n, k], [n] as [groups, n/groups].
enum class GgufAxes : std::uint8_t { same, column, heads, taps, groups };

/// A tensor, in a layer or around them, whose name does not follow from its module's, or that is not the same there:
/// "mixer.A_log" is "ssm_a". All are FP32 there.
struct GgufTensor {
  std::string_view ours, theirs;
  GgufNumbers numbers = GgufNumbers::same;
  GgufAxes axes = GgufAxes::same;
  bool convolution = false;
};

/// A matrix that is two there, by names that GgufName has. `rows` gives ours in the order of theirs, those of the first
/// and then those of the second.
struct GgufSplit {
  std::string_view ours, first, second;
  std::vector<std::int64_t> (*rows)(const ModelConfig& config);
  std::int64_t (*first_rows)(const ModelConfig& config);
  /// Null, or each is a matrix for every head there, and those of the first are transposed.
  std::int64_t (*heads)(const ModelConfig& config) = nullptr;
};

/// A value of config.json that llama.cpp has no place for.
struct GgufRefusal {
  std::string key, expected, got;
};

struct GgufFamily {
  std::string_view architecture;                    ///< general.architecture
  std::string_view architecture_with_experts = {};  ///< of a model with experts; empty: the same

  std::span<const GgufName> in_layer;      ///< modules of model.layers.N, which is blk.N there
  std::span<const GgufName> around;        ///< all others
  std::span<const GgufName> experts = {};  ///< more of those in a layer
  std::span<const GgufTensor> tensors = {};
  std::span<const GgufSplit> splits = {};
  std::string_view layers = "model.layers.";  ///< what stands before a layer's number
  std::string_view attention = "self_attn";   ///< its module in a layer
  /// Modules in a layer whose rows llama.cpp turns as neighbours, 2i and 2i+1 of a head, where Hugging Face turns i and
  /// i + head_dim/2.
  std::span<const std::string_view> neighbours = {};

  /// Adds what llama.cpp asks for under the architecture's own keys, "<architecture>.…".
  void (*add_sizes)(const ModelConfig& config, const std::string& architecture, GgufMetadata& metadata);
  void (*refuse)(const ModelConfig& config, std::vector<GgufRefusal>& refusals);
  /// llama.cpp multiplies a product with its tensor scale in most places: why it does not for this layer; empty: it
  /// does.
  std::string (*place_without_scale)(const std::string& layer, const ModelConfig& config);

  [[nodiscard]] std::string_view architecture_of(const ModelConfig& config) const {
    return config.experts && !architecture_with_experts.empty() ? architecture_with_experts : architecture;
  }
};

}  // namespace qad
