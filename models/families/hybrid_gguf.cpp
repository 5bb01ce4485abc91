#include "models/families/hybrid_gguf.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace qad {
namespace {

constexpr auto kInLayer = std::to_array<GgufName>({{"norm", "attn_norm", false},
                                                   {"mixer.in_proj", "ssm_in", true},
                                                   {"mixer.out_proj", "ssm_out", true},
                                                   {"mixer.q_proj", "attn_q", true},
                                                   {"mixer.k_proj", "attn_k", true},
                                                   {"mixer.v_proj", "attn_v", true},
                                                   {"mixer.o_proj", "attn_output", true},
                                                   {"mixer.up_proj", "ffn_up", true},
                                                   {"mixer.down_proj", "ffn_down", true}});
constexpr auto kAround = std::to_array<GgufName>({{"backbone.embeddings", "token_embd", false},
                                                  {"backbone.norm_f", "output_norm", false},
                                                  {"lm_head", "output", true}});
constexpr auto kGgufExperts = std::to_array<GgufName>({{"mixer.gate", "ffn_gate_inp", true, true},
                                                       {"mixer.experts.*.up_proj", "ffn_up_exps", true},
                                                       {"mixer.experts.*.down_proj", "ffn_down_exps", true},
                                                       {"mixer.shared_experts.up_proj", "ffn_up_shexp", true},
                                                       {"mixer.shared_experts.down_proj", "ffn_down_shexp", true},
                                                       {"mixer.fc1_latent_proj", "ffn_latent_down", true},
                                                       {"mixer.fc2_latent_proj", "ffn_latent_up", true}});
constexpr auto kTensors =
    std::to_array<GgufTensor>({{"mixer.A_log", "ssm_a", GgufNumbers::negative_exponential, GgufAxes::column},
                               {"mixer.D", "ssm_d", GgufNumbers::same, GgufAxes::column},
                               {"mixer.dt_bias", "ssm_dt.bias"},
                               {"mixer.conv1d.weight", "ssm_conv1d.weight", GgufNumbers::same, GgufAxes::taps, true},
                               {"mixer.conv1d.bias", "ssm_conv1d.bias"},
                               {"mixer.norm.weight", "ssm_norm.weight", GgufNumbers::same, GgufAxes::groups},
                               {"mixer.gate.e_score_correction_bias", "exp_probs_b.bias"}});

void add_number(const std::string& key, std::int64_t value, GgufMetadata& metadata) {
  metadata.emplace_back(key, static_cast<std::uint32_t>(value));
}

void add_mamba(const MambaConfig& mamba, const std::string& architecture, GgufMetadata& metadata) {
  add_number(architecture + ".ssm.conv_kernel", mamba.conv_kernel, metadata);
  add_number(architecture + ".ssm.inner_size", mamba.inner(), metadata);
  add_number(architecture + ".ssm.state_size", mamba.state_size, metadata);
  add_number(architecture + ".ssm.time_step_rank", mamba.num_heads, metadata);
  add_number(architecture + ".ssm.group_count", mamba.n_groups, metadata);
}

void refuse_mamba(const ModelConfig& config, std::vector<GgufRefusal>& refusals) {
  if (!config.mamba) return;
  if (!config.mamba->conv_bias) refusals.push_back({"use_conv_bias", "true", "false"});
  if (config.mamba->proj_bias) refusals.push_back({"use_bias", "false", "true"});
}

void add_mamba2_sizes(const ModelConfig& config, const std::string& architecture, GgufMetadata& metadata) {
  add_hybrid_gguf_sizes(config, architecture, metadata);
  for (const char* key : {".feed_forward_length", ".attention.head_count"}) add_number(architecture + key, 0, metadata);
  add_mamba(*config.mamba, architecture, metadata);
}

void refuse_mamba2(const ModelConfig& config, std::vector<GgufRefusal>& refusals) {
  refuse_mamba(config, refusals);
  const MambaConfig& mamba = *config.mamba;
  if (mamba.time_step_low > 0 || std::isfinite(mamba.time_step_high))
    refusals.push_back(
        {"time_step_limit", "from 0 to infinity", fmt::format("{} to {}", mamba.time_step_low, mamba.time_step_high)});
}

void add_nemotron_sizes(const ModelConfig& config, const std::string& architecture, GgufMetadata& metadata) {
  add_hybrid_gguf_sizes(config, architecture, metadata);
  constexpr std::array<char, 2> kWide = {layer_letter::feed_forward, layer_letter::experts};
  add_gguf_by_layer(config, {kWide.data(), kWide.size()},
                    config.experts ? config.experts->moe_intermediate_size : config.intermediate_size,
                    architecture + ".feed_forward_length", metadata);
  add_gguf_by_layer(config, {&layer_letter::attention, 1}, config.num_key_value_heads,
                    architecture + ".attention.head_count_kv", metadata);
  // Asked for beside the epsilon of RMS norms, which is the one used.
  metadata.emplace_back(architecture + ".attention.layer_norm_epsilon", static_cast<float>(config.rms_norm_eps));
  add_mamba(config.mamba.value_or(MambaConfig()), architecture, metadata);
  if (config.experts) add_gguf_experts(*config.experts, architecture, metadata);
}

void refuse_nemotron(const ModelConfig& config, std::vector<GgufRefusal>& refusals) {
  refuse_mamba(config, refusals);
  if (config.experts && config.layer_pattern.find(layer_letter::feed_forward) != std::string::npos)
    refusals.push_back({"hybrid_override_pattern", "no - beside E", config.layer_pattern});
}

std::string place_without_scale(const std::string& layer, const ModelConfig& config) {
  if (layer.ends_with("_latent_proj")) return "no nvfp4 on the way into and out of the experts' width";
  const bool feed_forward = layer.ends_with(".mixer.up_proj") || layer.ends_with(".mixer.down_proj");
  return feed_forward && config.mlp_bias ? "no nvfp4 where mlp_bias is true" : "";
}

}  // namespace

void add_hybrid_gguf_sizes(const ModelConfig& config, const std::string& architecture, GgufMetadata& metadata) {
  add_number(architecture + ".vocab_size", config.vocab_size, metadata);
  add_number(architecture + ".context_length", config.max_position_embeddings, metadata);
  add_number(architecture + ".embedding_length", config.hidden_size, metadata);
  add_number(architecture + ".block_count", config.num_hidden_layers, metadata);
  if (config.has_attention()) {
    add_number(architecture + ".attention.head_count", config.num_attention_heads, metadata);
    if (!config.latent_attention) {
      add_number(architecture + ".attention.key_length", config.head_size(), metadata);
      add_number(architecture + ".attention.value_length", config.head_size(), metadata);
    }
  }
  metadata.emplace_back(architecture + ".attention.layer_norm_rms_epsilon", static_cast<float>(config.rms_norm_eps));
}

void add_gguf_by_layer(const ModelConfig& config, std::string_view kinds, std::int64_t number, const std::string& key,
                       GgufMetadata& metadata) {
  std::vector<std::int32_t> numbers;
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i)
    numbers.push_back(kinds.find(config.layer_kind(i)) != std::string_view::npos ? static_cast<std::int32_t>(number)
                                                                                 : 0);
  metadata.emplace_back(key, numbers);
}

void add_gguf_experts(const ExpertsConfig& experts, const std::string& architecture, GgufMetadata& metadata) {
  const auto add = [&](const char* key, std::int64_t value) { add_number(architecture + key, value, metadata); };
  add(".expert_count", experts.num_experts);
  add(".expert_used_count", experts.num_experts_per_tok);
  add(".expert_feed_forward_length", experts.moe_intermediate_size);
  add(".expert_shared_count", experts.n_shared_experts);
  add(".expert_shared_feed_forward_length", experts.shared_width());
  add(".expert_group_count", experts.n_group);
  add(".expert_group_used_count", experts.topk_group);
  add(".expert_gating_func", experts.scoring_func == ScoringFunction::sigmoid ? 2 : 1);
  metadata.emplace_back(architecture + ".expert_weights_scale", static_cast<float>(experts.routed_scaling_factor));
  metadata.emplace_back(architecture + ".expert_weights_norm", experts.norm_topk_prob);
  if (experts.moe_latent_size > 0) add(".moe_latent_size", experts.moe_latent_size);
}

constinit const GgufFamily kMamba2Gguf = {.architecture = "mamba2",
                                          .in_layer = kInLayer,
                                          .around = kAround,
                                          .tensors = kTensors,
                                          .layers = "backbone.layers.",
                                          .attention = "mixer",
                                          .add_sizes = add_mamba2_sizes,
                                          .refuse = refuse_mamba2,
                                          .place_without_scale = place_without_scale};

constinit const GgufFamily kNemotronHGguf = {.architecture = "nemotron_h",
                                             .architecture_with_experts = "nemotron_h_moe",
                                             .in_layer = kInLayer,
                                             .around = kAround,
                                             .experts = kGgufExperts,
                                             .tensors = kTensors,
                                             .layers = "backbone.layers.",
                                             .attention = "mixer",
                                             .add_sizes = add_nemotron_sizes,
                                             .refuse = refuse_nemotron,
                                             .place_without_scale = place_without_scale};

}  // namespace qad
