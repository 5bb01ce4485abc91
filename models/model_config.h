// The sizes of a decoder, under the names of Hugging Face's config.json.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "autograd/base/fields.h"

namespace qad {

enum class RopeScalingKind : std::uint8_t { none, linear, dynamic, yarn, llama3 };
constexpr auto enum_names(RopeScalingKind) {
  return std::to_array<EnumName<RopeScalingKind>>({{RopeScalingKind::none, "default"},
                                                   {RopeScalingKind::linear, "linear"},
                                                   {RopeScalingKind::dynamic, "dynamic"},
                                                   {RopeScalingKind::yarn, "yarn"},
                                                   {RopeScalingKind::llama3, "llama3"}});
}

/// How rotary frequencies are stretched for long contexts; the rules are in models/layers/rotary.h. A rule reads the
/// fields that it needs.
struct RopeScaling {
  RopeScalingKind rope_type = RopeScalingKind::none;
  double factor = 8.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  std::int64_t original_max_position_embeddings = 8192;
  double attention_factor = 0.0;  ///< 0: 0.1·ln(factor) + 1
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  bool truncate = true;
  double mscale_all_dim = 0.0;  ///< of latent attention
  friend bool operator==(const RopeScaling&, const RopeScaling&) = default;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"rope_type", "rule that stretches the rotary frequencies"}, rope_type);
    visit(Field{"factor", "stretch of the lowest frequencies"}.at_least(1), factor);
    visit(
        Field{"low_freq_factor", "llama3: wavelengths above the original context over this are stretched whole"}.above(
            0),
        low_freq_factor);
    visit(Field{"high_freq_factor", "llama3: wavelengths below the original context over this stay"}.above(0),
          high_freq_factor);
    visit(Field{"original_max_position_embeddings", "llama3, yarn: context before the stretch"}.at_least(1),
          original_max_position_embeddings);
    visit(
        Field{"attention_factor", "yarn: what cosines and sines are multiplied by; 0: 0.1 ln(factor) + 1"}.at_least(0),
        attention_factor);
    visit(Field{"beta_fast", "yarn: pairs that turn more often than this in the original context stay"}.above(0),
          beta_fast);
    visit(Field{"beta_slow", "yarn: pairs that turn less often than this are stretched whole"}.above(0), beta_slow);
    visit(Field{"truncate", "yarn: these bounds are whole pairs"}, truncate);
    visit(Field{"mscale_all_dim", "yarn, latent attention: scores grow by (0.1·this·ln(factor) + 1)²"}.at_least(0),
          mscale_all_dim);
  }
};

/// A layer of a model whose layers differ (Llama-Nemotron, whose architecture was searched for).
struct BlockConfig {
  std::int64_t num_key_value_heads = 0;                        ///< 0: no attention, the residual stream passes it by
  std::int64_t intermediate_size = 0;                          ///< 0: no feed-forward layer
  bool linear_attention = false, linear_feed_forward = false;  ///< in their place a matrix [hidden, hidden]
  friend bool operator==(const BlockConfig&, const BlockConfig&) = default;
};

enum class ScoringFunction : std::uint8_t { softmax, sigmoid };
constexpr auto enum_names(ScoringFunction) {
  return std::to_array<EnumName<ScoringFunction>>(
      {{ScoringFunction::softmax, "softmax"}, {ScoringFunction::sigmoid, "sigmoid"}});
}

/// Sparse feed-forward layers.
struct ExpertsConfig {
  std::int64_t num_experts = 8;
  std::int64_t num_experts_per_tok = 2;
  std::int64_t moe_intermediate_size = 128;
  bool norm_topk_prob = true;
  std::int64_t decoder_sparse_step = 1;
  std::vector<std::int64_t> mlp_only_layers{};
  // DeepSeek's:
  std::int64_t first_k_dense_replace = 0;
  std::int64_t n_shared_experts = 0;
  std::int64_t n_group = 1, topk_group = 1;
  ScoringFunction scoring_func = ScoringFunction::softmax;  ///< sigmoid: with a bias that moves the choice
  double routed_scaling_factor = 1.0;
  std::int64_t shared_expert_intermediate_size = 0;  ///< 0: n_shared_experts times moe_intermediate_size
  std::int64_t moe_latent_size = 0;                  ///< 0: experts read the residual stream

  [[nodiscard]] std::int64_t shared_width() const {
    return shared_expert_intermediate_size > 0 ? shared_expert_intermediate_size
                                               : n_shared_experts * moe_intermediate_size;
  }
  [[nodiscard]] bool has_layer(std::int64_t layer) const {
    return layer >= first_k_dense_replace && std::ranges::count(mlp_only_layers, layer) == 0 &&
           (layer + 1) % decoder_sparse_step == 0;
  }

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"num_experts", "experts of a layer"}.at_least(1), num_experts);
    visit(Field{"num_experts_per_tok", "of them for each token"}.at_least(1), num_experts_per_tok);
    visit(Field{"moe_intermediate_size", "width of an expert"}.at_least(1), moe_intermediate_size);
    visit(Field{"norm_topk_prob", "the weights of a token's experts sum to one"}, norm_topk_prob);
    visit(Field{"decoder_sparse_step", "every so many layers one has experts"}.at_least(1), decoder_sparse_step);
    visit(Field{"mlp_only_layers", "layers without experts, from 0"}.at_least(0), mlp_only_layers);
    visit(Field{"first_k_dense_replace", "the first layers, without experts"}.at_least(0), first_k_dense_replace);
    visit(Field{"n_shared_experts", "experts that every token goes to, as one of so many widths"}.at_least(0),
          n_shared_experts);
    visit(Field{"n_group", "groups of experts"}.at_least(1), n_group);
    visit(Field{"topk_group", "groups that a token's experts are taken from"}.at_least(1), topk_group);
    visit(Field{"scoring_func", "softmax, or sigmoid with a bias that moves the choice"}, scoring_func);
    visit(Field{"routed_scaling_factor", "factor of the weights of a token's experts"}.above(0), routed_scaling_factor);
    visit(
        Field{"shared_expert_intermediate_size", "width of the shared expert; 0: n_shared_experts widths"}.at_least(0),
        shared_expert_intermediate_size);
    visit(Field{"moe_latent_size", "width of what the routed experts read; 0: the residual stream"}.at_least(0),
          moe_latent_size);
  }
};

/// Multi-head latent attention (DeepSeek-V2): keys and values come from a narrow vector, one rotated part of the keys
/// is shared by all heads.
struct LatentAttentionConfig {
  std::int64_t q_lora_rank = 0;  ///< 0: queries come from the residual stream at once
  std::int64_t kv_lora_rank = 64;
  std::int64_t qk_nope_head_dim = 16, qk_rope_head_dim = 16, v_head_dim = 16;
  friend bool operator==(const LatentAttentionConfig&, const LatentAttentionConfig&) = default;

  [[nodiscard]] std::int64_t qk_head_dim() const { return qk_nope_head_dim + qk_rope_head_dim; }

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"q_lora_rank", "width of what queries are made of; 0: the residual stream"}.at_least(0), q_lora_rank);
    visit(Field{"kv_lora_rank", "width of what keys and values are made of"}.at_least(1), kv_lora_rank);
    visit(Field{"qk_nope_head_dim", "part of a head of queries and keys without positions"}.at_least(1),
          qk_nope_head_dim);
    visit(Field{"qk_rope_head_dim", "part with rotary positions; that of keys is one for all heads"}.at_least(2),
          qk_rope_head_dim);
    visit(Field{"v_head_dim", "width of a head of values"}.at_least(1), v_head_dim);
  }
};

/// Mamba-2 layers (models/layers/mamba_layer.h).
struct MambaConfig {
  std::int64_t num_heads = 8, head_dim = 16;
  std::int64_t state_size = 16;
  std::int64_t n_groups = 1;  ///< of heads that share B and C
  std::int64_t conv_kernel = 4;
  bool conv_bias = true, proj_bias = false;
  double time_step_low = 0, time_step_high = std::numeric_limits<double>::infinity();
  friend bool operator==(const MambaConfig&, const MambaConfig&) = default;

  [[nodiscard]] std::int64_t inner() const { return num_heads * head_dim; }
  [[nodiscard]] std::int64_t conv_width() const { return inner() + 2 * n_groups * state_size; }

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"num_heads", "heads of the recurrence"}.at_least(1), num_heads);
    visit(Field{"head_dim", "width of a head"}.at_least(1), head_dim);
    visit(Field{"state_size", "numbers of state for each number of a head"}.at_least(1), state_size);
    visit(Field{"n_groups", "groups of heads that share what writes and reads the state"}.at_least(1), n_groups);
    visit(Field{"conv_kernel", "taps of the convolution"}.at_least(2), conv_kernel);
    visit(Field{"conv_bias", "bias of the convolution"}, conv_bias);
    visit(Field{"proj_bias", "bias of the projections"}, proj_bias);
    visit(Field{"time_step_low", "shortest time step"}.at_least(0), time_step_low);
    visit(Field{"time_step_high", "longest time step"}.above(0), time_step_high);
  }
};

/// Linear attention by the delta rule: Kimi Delta Attention, gated DeltaNet.
struct LinearAttentionConfig {
  std::int64_t num_key_heads = 4, num_value_heads = 4;
  std::int64_t key_head_dim = 16, value_head_dim = 16;
  std::int64_t conv_kernel = 4;
  friend bool operator==(const LinearAttentionConfig&, const LinearAttentionConfig&) = default;

  [[nodiscard]] std::int64_t key_width() const { return num_key_heads * key_head_dim; }
  [[nodiscard]] std::int64_t value_width() const { return num_value_heads * value_head_dim; }

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"num_key_heads", "heads of queries and keys"}.at_least(1), num_key_heads);
    visit(Field{"num_value_heads", "heads of values, a multiple of them"}.at_least(1), num_value_heads);
    visit(Field{"key_head_dim", "width of a head of queries and keys"}.at_least(1), key_head_dim);
    visit(Field{"value_head_dim", "width of a head of values"}.at_least(1), value_head_dim);
    visit(Field{"conv_kernel", "taps of the convolution"}.at_least(2), conv_kernel);
  }
};

/// What a layer is, where layers differ in kind: letters of ModelConfig::layer_pattern.
namespace layer_letter {
inline constexpr char attention = '*', mamba = 'M', linear_attention = 'L', experts = 'E', feed_forward = '-';
}

struct ModelConfig {
  std::string model_type = "llama";  ///< family: see models/families/registry.h
  std::int64_t vocab_size = 258;
  std::int64_t hidden_size = 128;
  std::int64_t intermediate_size = 384;
  std::int64_t num_hidden_layers = 2;
  std::int64_t num_attention_heads = 8;
  std::int64_t num_key_value_heads = 4;
  std::int64_t head_dim = 0;  ///< 0: hidden_size / num_attention_heads
  std::int64_t max_position_embeddings = 512;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  RopeScaling rope_scaling;
  std::int64_t sliding_window = 0;     ///< 0: none
  std::int64_t max_window_layers = 0;  ///< the first layers, which have no window (Qwen)
  bool tie_word_embeddings = true;
  bool attention_bias = false;         ///< on q, k and v
  bool attention_output_bias = false;  ///< on o
  bool mlp_bias = false;
  bool qk_norm = false;  ///< RMSNorm on each head of q and k (Qwen3)
  double initializer_range = 0.02;
  std::int64_t bos_token_id = -1;            ///< -1: none
  std::vector<std::int64_t> eos_token_id{};  ///< any of them ends a text
  std::vector<BlockConfig> blocks{};         ///< of each layer; empty: all alike. From config.json alone
  std::optional<ExpertsConfig> experts{};
  std::optional<LatentAttentionConfig> latent_attention{};
  /// A letter a layer (layer_letter). Of a family whose layers have one part it says which; of one with attention and a
  /// feed-forward layer in each, which attention. Empty: all have attention, or Mamba-2 where its sizes are there.
  std::string layer_pattern{};
  std::optional<MambaConfig> mamba{};
  std::optional<LinearAttentionConfig> linear_attention{};
  double partial_rotary_factor = 1.0;  ///< part of a head that rotary positions turn

  /// Whether some layer looks at keys and values of all tokens before.
  [[nodiscard]] bool has_attention() const;
  [[nodiscard]] char layer_kind(std::int64_t layer) const {
    if (layer_pattern.empty()) return mamba ? layer_letter::mamba : layer_letter::attention;
    return layer_pattern[static_cast<std::size_t>(layer)];
  }
  /// Numbers of the state that a sequence has in this layer, of a recurrence or of linear attention; 0 for others.
  [[nodiscard]] std::int64_t state_numbers(std::int64_t layer) const;
  /// Whether this layer's feed-forward part are experts.
  [[nodiscard]] bool has_experts(std::int64_t layer) const;
  [[nodiscard]] std::int64_t head_size() const { return head_dim > 0 ? head_dim : hidden_size / num_attention_heads; }
  /// Numbers of a head that rotary positions turn.
  [[nodiscard]] std::int64_t rotary_width() const {
    return static_cast<std::int64_t>(static_cast<double>(head_size()) * partial_rotary_factor);
  }
  /// Numbers of a head that attention multiplies.
  [[nodiscard]] std::int64_t attention_width() const {
    return latent_attention ? std::max(latent_attention->qk_head_dim(), latent_attention->v_head_dim) : head_size();
  }
  /// Keys that a query of this layer sees, itself included; 0: all before it.
  [[nodiscard]] std::int64_t window_of(std::int64_t layer) const {
    return layer >= max_window_layers ? sliding_window : 0;
  }
  [[nodiscard]] BlockConfig block(std::int64_t layer) const {
    return blocks.empty() ? BlockConfig{num_key_value_heads, intermediate_size}
                          : blocks[static_cast<std::size_t>(layer)];
  }
  /// Throws, naming `who` and the key, if the sizes do not fit together.
  void check(const std::string& who) const;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"model_type",
                "family: deepseek_v2, deepseek_v3, kimi_linear, llama, mamba2, mistral, mixtral, nemotron-nas, "
                "nemotron_h, qwen2, qwen3, qwen3_5_moe_text, qwen3_5_text, qwen3_moe or qwen3_next"},
          model_type);
    visit(Field{"vocab_size", "entries of the vocabulary"}.at_least(2), vocab_size);
    visit(Field{"hidden_size", "width of the residual stream"}.at_least(1), hidden_size);
    visit(Field{"intermediate_size", "width of the feed-forward layer"}.at_least(1), intermediate_size);
    visit(Field{"num_hidden_layers", "decoder layers"}.at_least(1), num_hidden_layers);
    visit(Field{"num_attention_heads", "query heads"}.at_least(1), num_attention_heads);
    visit(Field{"num_key_value_heads", "key/value heads; divides the query heads"}.at_least(1), num_key_value_heads);
    visit(Field{"head_dim", "width of a head; 0: hidden_size / num_attention_heads"}.at_least(0), head_dim);
    visit(Field{"max_position_embeddings", "longest context"}.at_least(1), max_position_embeddings);
    visit(Field{"rms_norm_eps", "epsilon of the RMS norms"}.above(0), rms_norm_eps);
    visit(Field{"rope_theta", "base of the rotary frequencies"}.at_least(1), rope_theta);
    visit(Field{"rope_scaling", "stretch of the rotary frequencies"}, rope_scaling);
    visit(Field{"sliding_window", "tokens that a query sees; 0: all before it"}.at_least(0), sliding_window);
    visit(Field{"max_window_layers", "first layers, without the window (qwen2 and qwen3)"}.at_least(0),
          max_window_layers);
    visit(Field{"tie_word_embeddings", "the head is the embedding"}, tie_word_embeddings);
    visit(Field{"attention_bias", "bias on q, k and v"}, attention_bias);
    visit(Field{"attention_output_bias", "bias on o"}, attention_output_bias);
    visit(Field{"mlp_bias", "bias on gate, up and down"}, mlp_bias);
    visit(Field{"qk_norm", "RMS norm on each head of q and k"}, qk_norm);
    visit(Field{"experts", "sparse feed-forward layers, of a family that has them"}, experts);
    visit(Field{"latent_attention", "deepseek_v2, deepseek_v3, kimi_linear: sizes of multi-head latent attention"},
          latent_attention);
    visit(Field{"layer_pattern",
                "a letter a layer: * attention, M Mamba-2, L linear attention, E experts, - feed-forward"},
          layer_pattern);
    visit(Field{"mamba", "mamba2, nemotron_h: sizes of the recurrence"}, mamba);
    visit(Field{"linear_attention", "kimi_linear, qwen3_next, qwen3_5: sizes of linear attention"}, linear_attention);
    visit(Field{"partial_rotary_factor", "part of a head that rotary positions turn"}.above(0).at_most(1),
          partial_rotary_factor);
    visit(Field{"initializer_range", "standard deviation of fresh weights"}.above(0), initializer_range);
    visit(Field{"bos_token_id", "token that starts a text; -1: none"}.at_least(-1), bos_token_id);
    visit(Field{"eos_token_id", "tokens that end a text"}, eos_token_id);
  }
};

}  // namespace qad
