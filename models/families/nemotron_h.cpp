// Nemotron-H (NVIDIA, 2025, https://arxiv.org/abs/2504.03624), Nemotron Nano V2, Nemotron 3: a block is one of Mamba-2,
// attention without positions, experts or a feed-forward layer, the latter two with a squared ReLU.
#include <array>
#include <nlohmann/json.hpp>

#include "models/families/backbone_kind.h"
#include "models/families/common_keys.h"
#include "models/families/hybrid_gguf.h"
#include "models/families/hybrid_keys.h"
#include "models/families/llama_kind.h"

namespace qad {
namespace {

constexpr LlamaDefaults kDefaults = {.vocab_size = 131072,
                                     .hidden_size = 4096,
                                     .intermediate_size = 21504,
                                     .num_hidden_layers = 4,
                                     .num_attention_heads = 32,
                                     .num_key_value_heads = 8,
                                     .head_dim = 128,
                                     .max_position_embeddings = 4096};

// It has no rotary positions, so that what is said of them changes nothing.
constexpr auto kKnownKeys = std::to_array<std::string_view>({"hybrid_override_pattern", "layers_block_type",
                                                             "n_routed_experts", "num_local_experts", "mlp_hidden_act",
                                                             "partial_rotary_factor", "rotary_pct", "num_experts"});

// Once as a word of letters, then as a list of names, older and newer ones.
std::string read_pattern(const ConfigReader& config_json) {
  const std::string letters = config_json.text("hybrid_override_pattern", "");
  if (config_json.says("hybrid_override_pattern") && letters.empty())
    config_json.refuse("hybrid_override_pattern", "letters in hybrid_override_pattern");
  if (const auto wrong = letters.find_first_not_of("M*E-"); wrong != std::string::npos)
    config_json.refuse("hybrid_override_pattern", "a hybrid_override_pattern of M, *, E and -",
                       std::string("what is '") + letters[wrong] + "'?");
  const std::vector<LayerName> names = {
      {"mamba", layer_letter::mamba},         {"linear_attention", layer_letter::mamba},
      {"attention", layer_letter::attention}, {"full_attention", layer_letter::attention},
      {"moe", layer_letter::experts},         {"mlp", layer_letter::feed_forward}};
  std::string pattern = letters;
  for (const char* key : {"layers_block_type", "layer_types"}) {
    const std::string listed = letters_at(config_json, key, names);
    if (!listed.empty() && !pattern.empty() && listed != pattern)
      config_json.refuse(key, std::string(key) + " as what is said elsewhere, " + pattern);
    if (!listed.empty()) pattern = listed;
  }
  return pattern.empty() ? "ME*-" : pattern;
}

void read_mamba(const ConfigReader& config_json, ModelConfig& config) {
  MambaConfig& mamba = config.mamba.emplace();
  mamba.num_heads = config_json.whole("mamba_num_heads", 128, 1);
  mamba.head_dim = config_json.whole("mamba_head_dim", 64, 1);
  mamba.state_size = config_json.whole("ssm_state_size", 128, 1);
  mamba.n_groups = agreed_size(config_json, {"n_groups", "mamba_n_groups"}, 8);
  mamba.conv_kernel = agreed_size(config_json, {"conv_kernel", "mamba_d_conv"}, 4, 2);
  for (const char* key : {"use_conv_bias", "mamba_conv_bias"}) mamba.conv_bias = config_json.flag(key, mamba.conv_bias);
  mamba.proj_bias = config_json.flag("use_bias", false);
  if (config_json.flag("mamba_proj_bias", mamba.proj_bias) != mamba.proj_bias)
    config_json.refuse("mamba_proj_bias", "mamba_proj_bias as use_bias");
  if (config_json.text("mamba_hidden_act", "silu") != "silu")
    config_json.refuse("mamba_hidden_act", "mamba_hidden_act silu");
  // Time steps are not bounded, whatever time_step_min says, which is for fresh models: transformers' whole forward
  // bounds them, its decoding and everybody else's do not. A limit of its own would be one.
  MambaConfig limits;
  read_time_steps(config_json, limits);
  if (limits.time_step_low != mamba.time_step_low || limits.time_step_high != mamba.time_step_high)
    config_json.refuse("time_step_limit", "a time_step_limit from 0 to infinity");
}

void read_experts(const ConfigReader& config_json, ModelConfig& config) {
  const auto size = [&](const char* key, std::int64_t fallback) { return config_json.whole(key, fallback, 1); };
  ExpertsConfig& experts = config.experts.emplace();
  experts.num_experts = agreed_size(config_json, {"n_routed_experts", "num_local_experts"}, 8);
  experts.num_experts_per_tok = size("num_experts_per_tok", 2);
  experts.moe_intermediate_size = size("moe_intermediate_size", 7688);
  experts.n_shared_experts = size("n_shared_experts", 1);
  if (experts.n_shared_experts != 1)
    config_json.refuse("n_shared_experts", "one shared expert", "moe_shared_expert_intermediate_size is its width");
  experts.shared_expert_intermediate_size = size("moe_shared_expert_intermediate_size", 7688);
  if (config_json.says("moe_latent_size")) experts.moe_latent_size = size("moe_latent_size", 1);
  experts.norm_topk_prob = config_json.flag("norm_topk_prob", true);
  experts.n_group = size("n_group", 1);
  experts.topk_group = size("topk_group", 1);
  experts.scoring_func = ScoringFunction::sigmoid;
  experts.routed_scaling_factor = config_json.above(0, "routed_scaling_factor", 1);
  if (config.mlp_bias) config_json.refuse("mlp_bias", "mlp_bias to be false in a model with experts");
}

void read_keys(const ConfigReader& config_json, ModelConfig& config) {
  read_llama_sizes(config_json, kDefaults, config);
  read_llama_widths(config_json, kDefaults, config);
  config.layer_pattern = read_pattern(config_json);
  const auto layers = static_cast<std::int64_t>(config.layer_pattern.size());
  config.num_hidden_layers = config_json.whole("num_hidden_layers", layers, 1);
  if (config.num_hidden_layers != layers)
    config_json.refuse("num_hidden_layers",
                       "num_hidden_layers as the pattern of the layers is long, " + std::to_string(layers));
  if (config_json.text("mlp_hidden_act", "relu2") != "relu2")
    config_json.refuse("mlp_hidden_act", "mlp_hidden_act relu2");
  if (config_json.says("sliding_window")) config_json.refuse("sliding_window", "sliding_window not to be there");
  refuse_if_true(config_json, {"attention_bias", "norm_before_gate"});
  config.mlp_bias = config_json.flag("mlp_bias", false);
  read_numbers(config_json, config);
  config.rms_norm_eps = agreed_number(config_json, {"layer_norm_epsilon", "norm_eps", "rms_norm_eps"}, 1e-5);
  const auto has = [&](char letter) { return config.layer_pattern.find(letter) != std::string::npos; };
  if (has(layer_letter::mamba)) read_mamba(config_json, config);
  if (has(layer_letter::experts)) read_experts(config_json, config);
  read_special_tokens(config_json, config);
  config.check(config_json.who());
}

void write_keys(const ModelConfig& config, nlohmann::ordered_json& config_json) {
  write_llama_sizes(config, config_json);
  for (const char* key : {"hidden_act", "rms_norm_eps"}) config_json.erase(key);
  config_json["hybrid_override_pattern"] = config.layer_pattern;
  config_json["attention_bias"] = false;
  config_json["mlp_bias"] = config.mlp_bias;
  config_json["mlp_hidden_act"] = "relu2";
  config_json["layer_norm_epsilon"] = config.rms_norm_eps;
  if (config.mamba) {
    config_json["mamba_num_heads"] = config.mamba->num_heads;
    config_json["mamba_head_dim"] = config.mamba->head_dim;
    config_json["ssm_state_size"] = config.mamba->state_size;
    config_json["n_groups"] = config.mamba->n_groups;
    config_json["conv_kernel"] = config.mamba->conv_kernel;
    config_json["use_conv_bias"] = config.mamba->conv_bias;
    config_json["use_bias"] = config_json["mamba_proj_bias"] = config.mamba->proj_bias;
    config_json["mamba_hidden_act"] = "silu";
  }
  if (config.experts) {
    config_json["n_routed_experts"] = config.experts->num_experts;
    config_json["num_experts_per_tok"] = config.experts->num_experts_per_tok;
    config_json["moe_intermediate_size"] = config.experts->moe_intermediate_size;
    config_json["n_shared_experts"] = 1;
    config_json["moe_shared_expert_intermediate_size"] = config.experts->shared_width();
    if (config.experts->moe_latent_size > 0) config_json["moe_latent_size"] = config.experts->moe_latent_size;
    config_json["norm_topk_prob"] = config.experts->norm_topk_prob;
    config_json["n_group"] = config.experts->n_group;
    config_json["topk_group"] = config.experts->topk_group;
    config_json["routed_scaling_factor"] = config.experts->routed_scaling_factor;
  }
  write_special_tokens(config, config_json);
}

}  // namespace

extern constinit const Family kNemotronH = {.model_type = "nemotron_h",
                                            .architecture = "NemotronHForCausalLM",
                                            .known_keys = kKnownKeys,
                                            .other_names = kBackboneOtherNames,
                                            .says_each_layer = true,
                                            .read = read_keys,
                                            .write = write_keys,
                                            .make = make_backbone_kind,
                                            .gguf = &kNemotronHGguf};

}  // namespace qad
