#include "models/families/config_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "autograd/base/error.h"

namespace qad {
namespace {

using Json = ConfigReader::Json;

struct NeutralKey {
  const char* key;
  std::vector<Json> values;  // each of which changes nothing; null and absence don't either
};

// From the configs of the dense decoders in transformers 5.24, by what they touch.
const std::vector<NeutralKey>& neutral_keys() {
  static const std::vector<NeutralKey> keys = {
      // who attends to whom
      {"is_causal", {true}},
      {"use_bidirectional_attention", {false}},
      {"is_encoder_decoder", {false}},
      {"add_cross_attention", {false}},
      {"prefix_lm", {false}},
      {"attention_chunk_size", {}},
      {"sliding_window_pattern", {}},
      {"num_kv_shared_layers", {0}},
      // the numbers of attention
      {"attention_multiplier", {}},
      {"attention_in_multiplier", {1}},
      {"attention_out_multiplier", {1}},
      {"key_multiplier", {1}},
      {"query_pre_attn_scalar", {}},
      {"softmax_scale", {}},
      {"attn_scale", {}},
      {"attn_logit_softcapping", {}},
      {"attention_logit_cap", {}},
      {"attn_temperature_tuning", {false, 0}},
      {"use_logn_attn", {false}},
      {"clip_qkv", {}},
      {"qk_norm", {false}},
      {"use_qk_norm", {false}},
      {"qk_layernorm", {false}},
      {"attn_output_gate", {false}},
      {"use_attention_gate", {false}},
      {"attention_k_eq_v", {false}},
      {"kv_lora_rank", {}},
      {"q_lora_rank", {}},
      // positions
      {"partial_rotary_factor", {1}},
      {"rotary_pct", {1}},
      {"rotary_dim", {}},
      {"rope_interleave", {false}},
      {"rope_interleaved", {false}},
      {"use_rope", {true}},
      {"use_rotary_embedding", {true}},
      {"no_rope_layers", {Json::array()}},
      {"no_rope_layer_interval", {0}},
      {"rope_local_base_freq", {}},
      {"layer_rope_theta", {}},
      {"use_dynamic_ntk", {false}},
      {"use_mrope", {false}},
      {"alibi", {false}},
      {"position_embedding_type", {"rope", "rotary"}},
      // the residual stream, norms and the feed-forward layer
      {"embedding_multiplier", {1}},
      {"embedding_scale", {1}},
      {"scale_emb", {1}},
      {"scale_embedding", {false}},
      {"rescale_embeddings", {false}},
      {"residual_multiplier", {1}},
      {"residual_scale", {1}},
      {"scale_depth", {}},
      {"parallel_residual", {false}},
      {"use_parallel_residual", {false}},
      {"parallel_attn", {false}},
      {"use_post_norm", {false}},
      {"use_sandwich_norm", {false}},
      {"norm_bias", {false}},
      {"bias", {false}},
      {"hidden_activation", {"silu", "swish"}},
      {"activation_function", {"silu", "swish"}},
      {"mlp_hidden_act", {"silu", "swish"}},
      {"activation_sparsity_pattern", {}},
      {"mlp_gate_softcap", {}},
      {"mlp_up_softcap", {}},
      {"swiglu_limit", {}},
      {"mlp_multipliers", {}},
      {"hidden_size_per_layer_input", {0}},
      // logits
      {"logits_scaling", {1}},
      {"logit_scale", {}},
      {"lm_head_multiplier", {1}},
      {"lm_head_bias", {false}},
      {"final_logit_softcapping", {}},
      {"logits_soft_cap", {}},
      {"output_logit_soft_cap", {}},
      // layers of another kind, and layers that differ
      {"num_local_experts", {0}},
      {"num_experts", {0}},
      {"n_routed_experts", {0}},
      {"moe_num_experts", {0}},
      {"layers_block_type", {}},
      {"hybrid_override_pattern", {}},
      {"per_layer_config", {Json::object()}},
      {"num_attention_heads_per_layer", {}},
      {"pruned_heads", {Json::object()}},
      {"text_config", {}},
      {"vision_config", {}},
      {"audio_config", {}},
      // where the weights are
      {"transformers_weights", {"model.safetensors"}},
  };
  return keys;
}

// Where transformers has no value for null: its class refuses it, or its code fails.
constexpr auto kNeverNull = {"is_causal",         "vocab_size", "hidden_size",
                             "num_hidden_layers", "hidden_act", "num_attention_heads",
                             "rms_norm_eps",      "rope_theta", "max_position_embeddings"};

std::string names_of(const std::vector<Json>& values) {
  std::string names;
  for (const Json& value : values) names += (names.empty() ? "" : " or ") + value.dump();
  return names;
}

}  // namespace

void check_keys(const ConfigReader& config_json, std::span<const std::string_view> known) {
  for (const char* key : kNeverNull)
    if (config_json.has(key) && !config_json.says(key))
      config_json.refuse(key, fmt::format("a value for {}", key), "leave the key out for the family's own");
  for (const auto& [key, values] : neutral_keys()) {
    if (!config_json.says(key) || std::ranges::count(known, key) > 0) continue;
    if (std::ranges::find(values, config_json.at(key)) != values.end()) continue;
    config_json.refuse(key, key + (values.empty() ? " not to be there" : " to be " + names_of(values)),
                       "models with it are not supported");
  }
}

void check_not_quantized(const ConfigReader& config_json) {
  for (const char* key : {"quantization_config", "compression_config"}) {
    const Json section = config_json.object(key);
    if (section.empty()) continue;
    const std::string method = section.value("quant_method", Json("unknown")).dump();
    if (method == "\"mxfp4\"") continue;  // read as BF16 (models/import/mxfp4_blocks.h)
    throw Error({.who = config_json.who() + ": " + key,
                 .expected = "a model in a floating type",
                 .got = fmt::format("one that is quantized already, by {}", method),
                 .hint = kUnpackedHint});
  }
}

}  // namespace qad
