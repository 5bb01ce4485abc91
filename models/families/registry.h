// The model families, by the model_type of their config.json: one row says what a family's config may leave out, which
// parts its layers have, and who builds it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "models/language_model.h"

namespace qad {

/// Which layers have a sliding window.
enum class WindowRule : std::uint8_t {
  none,
  every_layer,   ///< unless sliding_window is null
  later_layers,  ///< from max_window_layers on, if use_sliding_window is true
  all_if_used,   ///< every layer, if use_sliding_window is true
};

struct Family {
  std::string_view model_type;
  std::string_view architecture;  ///< its class in transformers

  // What transformers' config class takes for a key that is not there.
  std::int64_t vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads;
  std::int64_t num_key_value_heads;  ///< 0: num_attention_heads, which null stands for in all of them
  std::int64_t head_dim;             ///< 0: hidden_size / num_attention_heads
  std::int64_t max_position_embeddings;

  WindowRule window;
  bool query_bias;           ///< biases on q, k and v, whatever the config says
  bool says_attention_bias;  ///< attention_bias stands for q, k, v and o; the others have none
  bool says_mlp_bias;        ///< mlp_bias stands for gate, up and down; the others have none
  bool qk_norm;
  bool has_blocks;  ///< block_configs say what each layer is
  bool has_experts = false;

  std::unique_ptr<LanguageModel> (*make)(const ModelConfig&, const ParameterMaker&);
};

[[nodiscard]] std::span<const Family> families();
/// Throws, naming `who` and the families there are, for any other model_type.
[[nodiscard]] const Family& family_of(const std::string& model_type, const std::string& who);

[[nodiscard]] std::unique_ptr<LanguageModel> make_model(const ModelConfig& config, const ParameterMaker& make);

}  // namespace qad
