// Kimi Linear (Moonshot AI, 2025, https://arxiv.org/abs/2510.26692): three layers with Kimi Delta Attention to one with
// latent attention, none with positions; experts as DeepSeek-V3 chooses them.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "models/families/assemble.h"
#include "models/families/common_keys.h"
#include "models/families/deepseek_kind.h"
#include "models/families/family.h"
#include "models/families/hybrid_gguf.h"
#include "models/families/hybrid_keys.h"
#include "models/families/llama_gguf.h"
#include "models/layers/feed_forward_layer.h"
#include "models/layers/kda_layer.h"
#include "models/layers/latent_attention_layer.h"

namespace qad {
namespace {

constexpr LlamaDefaults kDefaults = {.vocab_size = 163840,
                                     .hidden_size = 2304,
                                     .intermediate_size = 9216,
                                     .num_hidden_layers = 27,
                                     .num_attention_heads = 32,
                                     .num_key_value_heads = 32,
                                     .max_position_embeddings = 1048576};

constexpr auto kKnownKeys = std::to_array<std::string_view>(
    {"kv_lora_rank", "q_lora_rank", "num_local_experts", "num_experts", "n_routed_experts"});

// save_pretrained gives the dense layers the name of the sparse ones.
constexpr auto kOtherNames = std::to_array<OtherName>({{".mlp.", ".block_sparse_moe."}});

// The publisher lists layers from 1, transformers has a name for each.
std::string read_pattern(const ConfigReader& config_json, const ConfigReader& published, std::int64_t layers) {
  const std::string named =
      letters_at(config_json, "layer_types",
                 {{"full_attention", layer_letter::attention}, {"linear_attention", layer_letter::linear_attention}});
  if (!published.says("full_attn_layers") && !published.says("kda_layers")) {
    if (!named.empty()) return named;
    std::string every_fourth = every(4, layers);  // as transformers has it: from 0, and not the first
    std::rotate(every_fourth.rbegin(), every_fourth.rbegin() + 1, every_fourth.rend());
    if (!every_fourth.empty()) every_fourth.front() = layer_letter::linear_attention;
    return every_fourth;
  }
  std::string pattern(static_cast<std::size_t>(layers), ' ');
  for (const auto& [key, letter] :
       {std::pair{"full_attn_layers", layer_letter::attention}, {"kda_layers", layer_letter::linear_attention}})
    for (const std::int64_t layer : published.wholes(key, 1)) {
      if (layer > layers)
        published.refuse(key, std::string(key) + " from 1 to num_hidden_layers, " + std::to_string(layers));
      char& place = pattern[static_cast<std::size_t>(layer - 1)];
      if (place != ' ') published.refuse(key, "every layer once in full_attn_layers or kda_layers");
      place = letter;
    }
  if (pattern.find(' ') != std::string::npos)
    published.refuse("kda_layers", "every layer in full_attn_layers or kda_layers, from 1",
                     "layer " + std::to_string(pattern.find(' ') + 1) + " is in neither");
  if (!named.empty() && named != pattern) config_json.refuse("layer_types", "layer_types as linear_attn_config");
  return pattern;
}

void read_linear(const ConfigReader& config_json, ModelConfig& config) {
  const ConfigReader::Json section = config_json.object("linear_attn_config");
  const ConfigReader published(section, config_json.who() + ": linear_attn_config");
  const auto size = [&](const char* key, const char* of_transformers, std::int64_t fallback, std::int64_t low) {
    return published.whole(key, config_json.whole(of_transformers, fallback, low), low);
  };
  LinearAttentionConfig& linear = config.linear_attention.emplace();
  linear.num_key_heads = linear.num_value_heads = size("num_heads", "linear_num_heads", 32, 1);
  linear.key_head_dim = linear.value_head_dim = size("head_dim", "linear_head_dim", 128, 1);
  linear.conv_kernel = size("short_conv_kernel_size", "linear_conv_kernel_dim", 4, 2);
  config.layer_pattern = read_pattern(config_json, published, config.num_hidden_layers);
}

void read_experts(const ConfigReader& config_json, ModelConfig& config) {
  ExpertsConfig& experts = config.experts.emplace();
  experts.num_experts = agreed_size(config_json, {"num_experts", "num_local_experts", "n_routed_experts"}, 256);
  experts.num_experts_per_tok = agreed_size(config_json, {"num_experts_per_token", "num_experts_per_tok"}, 8);
  experts.moe_intermediate_size = config_json.whole("moe_intermediate_size", 1024, 1);
  experts.n_shared_experts = agreed_size(config_json, {"num_shared_experts", "n_shared_experts"}, 1, 0);
  experts.n_group = agreed_size(config_json, {"num_expert_group", "n_group"}, 1);
  experts.topk_group = config_json.whole("topk_group", 1, 1);
  for (const char* key : {"moe_renormalize", "norm_topk_prob"})
    experts.norm_topk_prob = config_json.flag(key, experts.norm_topk_prob);
  experts.routed_scaling_factor = config_json.above(0, "routed_scaling_factor", 2.446);
  experts.scoring_func = ScoringFunction::sigmoid;
  if (config_json.text("moe_router_activation_func", "sigmoid") != "sigmoid")
    config_json.refuse("moe_router_activation_func", "moe_router_activation_func to be sigmoid");
  if (!config_json.flag("use_grouped_topk", true))
    config_json.refuse("use_grouped_topk", "use_grouped_topk to be true");
  if (config_json.whole("moe_layer_freq", 1, 1) != 1) config_json.refuse("moe_layer_freq", "moe_layer_freq to be 1");
  experts.first_k_dense_replace = config_json.whole("first_k_dense_replace", 1, 0);
  const std::string kinds = letters_at(config_json, "mlp_layer_types",
                                       {{"dense", layer_letter::feed_forward}, {"sparse", layer_letter::experts}});
  if (kinds.empty()) return;
  const auto dense = static_cast<std::int64_t>(kinds.find_first_not_of(layer_letter::feed_forward));
  if (std::ssize(kinds) != config.num_hidden_layers ||
      kinds.find(layer_letter::feed_forward, static_cast<std::size_t>(dense)) != std::string::npos)
    config_json.refuse("mlp_layer_types", "mlp_layer_types of all layers, dense first and then sparse");
  experts.first_k_dense_replace = dense;
}

void read_keys(const ConfigReader& config_json, ModelConfig& config) {
  read_llama_sizes(config_json, kDefaults, config);
  read_llama_widths(config_json, kDefaults, config);
  config.max_position_embeddings =
      agreed_size(config_json, {"model_max_length", "max_position_embeddings"}, kDefaults.max_position_embeddings);
  config.num_key_value_heads = config.num_attention_heads;  // each head has its own; no other number means anything
  read_numbers(config_json, config, 1e-5);
  refuse_if_true(config_json, {"attention_bias", "mlp_bias"});
  if (!config_json.flag("mla_use_nope", true)) config_json.refuse("mla_use_nope", "mla_use_nope to be true");
  read_latent_attention(config_json, 0, config);
  read_linear(config_json, config);
  read_experts(config_json, config);
  read_special_tokens(config_json, config);
  config.check(config_json.who());
}

void write_keys(const ModelConfig& config, nlohmann::ordered_json& config_json) {
  write_llama_sizes(config, config_json);
  for (const char* key : {"head_dim", "max_position_embeddings"}) config_json.erase(key);
  config_json["model_max_length"] = config.max_position_embeddings;
  write_latent_attention(config, config_json);
  config_json["mla_use_nope"] = true;
  const LinearAttentionConfig linear = config.linear_attention.value_or(LinearAttentionConfig());
  std::vector<std::int64_t> full, kda;
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i)
    (config.layer_kind(i) == layer_letter::attention ? full : kda).push_back(i + 1);
  config_json["linear_attn_config"] = {{"full_attn_layers", full},
                                       {"kda_layers", kda},
                                       {"head_dim", linear.key_head_dim},
                                       {"num_heads", linear.num_key_heads},
                                       {"short_conv_kernel_size", linear.conv_kernel}};
  const ExpertsConfig experts = config.experts.value_or(ExpertsConfig());
  config_json["num_experts"] = experts.num_experts;
  config_json["num_experts_per_token"] = experts.num_experts_per_tok;
  config_json["moe_intermediate_size"] = experts.moe_intermediate_size;
  config_json["num_shared_experts"] = experts.n_shared_experts;
  config_json["num_expert_group"] = experts.n_group;
  config_json["topk_group"] = experts.topk_group;
  config_json["moe_renormalize"] = experts.norm_topk_prob;
  config_json["routed_scaling_factor"] = experts.routed_scaling_factor;
  config_json["first_k_dense_replace"] = experts.first_k_dense_replace;
  config_json["moe_layer_freq"] = 1;
  config_json["moe_router_activation_func"] = "sigmoid";
  config_json["use_grouped_topk"] = true;
  write_special_tokens(config, config_json);
}

std::unique_ptr<LanguageModel> make_kimi(const ModelConfig& config, const ParameterMaker& make) {
  constexpr ExpertNames kExperts = {.module = "block_sparse_moe", .gate = "w1", .up = "w3", .down = "w2"};
  return assemble_model(config, make, {}, [&](std::int64_t i, const std::string& block) {
    const LayerPlace attention{i, block + ".self_attn", block + ".input_layernorm"};
    const std::string norm = block + ".post_attention_layernorm";
    std::vector<Residual> parts;
    parts.push_back(config.layer_kind(i) == layer_letter::attention
                        ? make_latent_attention(config, attention, nullptr, make)
                        : make_kda(config, attention, make));
    parts.push_back(config.has_experts(i)
                        ? make_experts(config, {i, block + "." + kExperts.module, norm}, kExperts, make)
                        : make_feed_forward(config, {i, block + ".mlp", norm}, make));
    return parts;
  });
}

constexpr auto kGgufInLayer = std::to_array<GgufName>({{"input_layernorm", "attn_norm", false},
                                                       {"post_attention_layernorm", "ffn_norm", false},
                                                       {"self_attn.q_proj", "attn_q", true},
                                                       {"self_attn.k_proj", "attn_k", true},
                                                       {"self_attn.v_proj", "attn_v", true},
                                                       {"self_attn.o_proj", "attn_output", true},
                                                       {"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa", true},
                                                       {"self_attn.kv_a_layernorm", "attn_kv_a_norm", false},
                                                       {"self_attn.k_b_proj", "attn_k_b", true},
                                                       {"self_attn.v_b_proj", "attn_v_b", true},
                                                       {"self_attn.f_a_proj", "ssm_f_a", true},
                                                       {"self_attn.f_b_proj", "ssm_f_b", true},
                                                       {"self_attn.g_a_proj", "ssm_g_a", true},
                                                       {"self_attn.g_b_proj", "ssm_g_b", true},
                                                       {"self_attn.b_proj", "ssm_beta", true},
                                                       {"self_attn.o_norm", "ssm_norm", false},
                                                       {"mlp.gate_proj", "ffn_gate", true},
                                                       {"mlp.up_proj", "ffn_up", true},
                                                       {"mlp.down_proj", "ffn_down", true}});
constexpr auto kGgufExperts =
    std::to_array<GgufName>({{"block_sparse_moe.gate", "ffn_gate_inp", true, true},
                             {"block_sparse_moe.experts.*.w1", "ffn_gate_exps", true},
                             {"block_sparse_moe.experts.*.w3", "ffn_up_exps", true},
                             {"block_sparse_moe.experts.*.w2", "ffn_down_exps", true},
                             {"block_sparse_moe.shared_experts.gate_proj", "ffn_gate_shexp", true},
                             {"block_sparse_moe.shared_experts.up_proj", "ffn_up_shexp", true},
                             {"block_sparse_moe.shared_experts.down_proj", "ffn_down_shexp", true}});
constexpr auto kGgufTensors = std::to_array<GgufTensor>(
    {{"self_attn.A_log", "ssm_a", GgufNumbers::negative_exponential, GgufAxes::heads},
     {"self_attn.dt_bias", "ssm_dt.bias"},
     {"self_attn.q_conv1d.weight", "ssm_conv1d_q.weight", GgufNumbers::same, GgufAxes::same, true},
     {"self_attn.k_conv1d.weight", "ssm_conv1d_k.weight", GgufNumbers::same, GgufAxes::same, true},
     {"self_attn.v_conv1d.weight", "ssm_conv1d_v.weight", GgufNumbers::same, GgufAxes::same, true},
     {"block_sparse_moe.gate.e_score_correction_bias", "exp_probs_b.bias"}});

std::int64_t heads(const ModelConfig& config) { return config.num_attention_heads; }
std::int64_t key_rows(const ModelConfig& config) {
  return config.num_attention_heads * config.latent_attention->qk_nope_head_dim;
}
// By head, keys before values; there all keys before all values.
std::vector<std::int64_t> rows_of_kv_b(const ModelConfig& config) {
  const std::int64_t keys = config.latent_attention->qk_nope_head_dim;
  const std::int64_t width = keys + config.latent_attention->v_head_dim;
  std::vector<std::int64_t> rows;
  for (const auto& [begin, end] : {std::pair{std::int64_t{0}, keys}, {keys, width}})
    for (std::int64_t head = 0; head < config.num_attention_heads; ++head)
      for (std::int64_t row = begin; row < end; ++row) rows.push_back(head * width + row);
  return rows;
}
constexpr auto kGgufSplits = std::to_array<GgufSplit>(
    {{"self_attn.kv_b_proj", "self_attn.k_b_proj", "self_attn.v_b_proj", rows_of_kv_b, key_rows, heads}});

void add_gguf_sizes(const ModelConfig& config, const std::string& architecture, GgufMetadata& metadata) {
  add_hybrid_gguf_sizes(config, architecture, metadata);
  const LatentAttentionConfig& attention = *config.latent_attention;
  const auto add = [&](const char* key, std::int64_t value) {
    metadata.emplace_back(architecture + key, static_cast<std::uint32_t>(value));
  };
  add(".feed_forward_length", config.intermediate_size);
  // The cache is that of one head as wide as what keys and values are made of.
  add_gguf_by_layer(config, {&layer_letter::attention, 1}, 1, architecture + ".attention.head_count_kv", metadata);
  add(".attention.kv_lora_rank", attention.kv_lora_rank);
  add(".attention.key_length", attention.kv_lora_rank + attention.qk_rope_head_dim);
  add(".attention.value_length", attention.kv_lora_rank);
  add(".attention.key_length_mla", attention.qk_head_dim());
  add(".attention.value_length_mla", attention.v_head_dim);
  add(".rope.dimension_count", attention.qk_rope_head_dim);
  add(".ssm.conv_kernel", config.linear_attention->conv_kernel);
  add(".kda.head_dim", config.linear_attention->key_head_dim);
  add(".leading_dense_block_count", config.experts->first_k_dense_replace);
  add_gguf_experts(*config.experts, architecture, metadata);
}

void refuse_gguf(const ModelConfig& config, std::vector<GgufRefusal>& refusals) {
  const auto refuse = [&](const char* key, const std::string& expected, const std::string& got) {
    refusals.push_back({key, expected, got});
  };
  if (config.tie_word_embeddings) refuse("tie_word_embeddings", "false for " + config.model_type, "true");
  if (config.latent_attention->q_lora_rank > 0)
    refuse("q_lora_rank", "none", std::to_string(config.latent_attention->q_lora_rank));
  if (const std::int64_t heads = config.linear_attention->num_key_heads; heads != config.num_attention_heads)
    refuse("linear_attn_config.num_heads", "as num_attention_heads, " + std::to_string(config.num_attention_heads),
           std::to_string(heads));
  if (!config.experts->norm_topk_prob) refuse("moe_renormalize", "true", "false");
  if (config.experts->n_shared_experts == 0) refuse("num_shared_experts", "at least one", "0");
}

std::string place_without_scale(const std::string& /*layer*/, const ModelConfig& config) {
  return "no nvfp4 (mxfp4 has no tensor scale) in " + config.model_type;
}

constexpr GgufFamily kGguf = {.architecture = "kimi-linear",
                              .in_layer = kGgufInLayer,
                              .around = kLlamaGgufAround,
                              .experts = kGgufExperts,
                              .tensors = kGgufTensors,
                              .splits = kGgufSplits,
                              .add_sizes = add_gguf_sizes,
                              .refuse = refuse_gguf,
                              .place_without_scale = place_without_scale};

}  // namespace

extern constinit const Family kKimiLinear = {.model_type = "kimi_linear",
                                             .architecture = "KimiLinearForCausalLM",
                                             .known_keys = kKnownKeys,
                                             .other_names = kOtherNames,
                                             .read = read_keys,
                                             .write = write_keys,
                                             .make = make_kimi,
                                             .gguf = &kGguf};

}  // namespace qad
