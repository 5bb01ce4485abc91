// Qwen3-Next: gated DeltaNet and gated attention, experts with a shared one in most layers.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "models/families/family.h"
#include "models/families/hybrid_keys.h"
#include "models/families/llama_gguf.h"
#include "models/families/qwen3_next_kind.h"

namespace qad {
namespace {

constexpr LlamaDefaults kDefaults = {.vocab_size = 151936,
                                     .hidden_size = 2048,
                                     .intermediate_size = 5632,
                                     .num_hidden_layers = 48,
                                     .num_attention_heads = 16,
                                     .num_key_value_heads = 2,
                                     .head_dim = 256,
                                     .max_position_embeddings = 32768};

constexpr auto kKnownKeys =
    std::to_array<std::string_view>({"qk_norm", "use_qk_norm", "qk_layernorm", "num_local_experts", "num_experts",
                                     "partial_rotary_factor", "attn_output_gate"});

void read_keys(const ConfigReader& config_json, ModelConfig& config) {
  read_qwen3_next_keys(config_json, kDefaults, config);
  read_qwen3_next_experts(config_json, {.num_experts = 512, .num_experts_per_tok = 10}, config);
  config.experts->norm_topk_prob = config_json.flag("norm_topk_prob", true);
  config.experts->decoder_sparse_step = config_json.whole("decoder_sparse_step", 1, 1);
  config.experts->mlp_only_layers = config_json.wholes("mlp_only_layers", 0);
  read_qwen3_next_rest(config_json, config);
}

void write_keys(const ModelConfig& config, nlohmann::ordered_json& config_json) {
  write_qwen3_next_keys(config, config_json);
  write_qwen3_next_experts(config, config_json);
  const ExpertsConfig experts = config.experts.value_or(ExpertsConfig());
  config_json["norm_topk_prob"] = experts.norm_topk_prob;
  config_json["decoder_sparse_step"] = experts.decoder_sparse_step;
  config_json["mlp_only_layers"] = experts.mlp_only_layers;
}

std::unique_ptr<LanguageModel> make_qwen3_next(const ModelConfig& config, const ParameterMaker& make) {
  return make_qwen3_next_kind(config, make, DeltaNetProjections::by_key_head);
}

constexpr auto kGgufInLayer = std::to_array<GgufName>({{"self_attn.q_proj", "attn_q", true},
                                                       {"self_attn.k_proj", "attn_k", true},
                                                       {"self_attn.v_proj", "attn_v", true},
                                                       {"self_attn.o_proj", "attn_output", true},
                                                       {"linear_attn.in_proj_qkv", "attn_qkv", true},
                                                       {"linear_attn.in_proj_z", "attn_gate", true},
                                                       {"linear_attn.in_proj_ba", "ssm_ba", true},
                                                       {"linear_attn.out_proj", "ssm_out", true}});
constexpr auto kGgufExperts = std::to_array<GgufName>({{"mlp.gate", "ffn_gate_inp", true, true},
                                                       {"mlp.experts.*.gate_proj", "ffn_gate_exps", true},
                                                       {"mlp.experts.*.up_proj", "ffn_up_exps", true},
                                                       {"mlp.experts.*.down_proj", "ffn_down_exps", true},
                                                       {"mlp.shared_expert_gate", "ffn_gate_inp_shexp", true, true},
                                                       {"mlp.shared_expert.gate_proj", "ffn_gate_shexp", true},
                                                       {"mlp.shared_expert.up_proj", "ffn_up_shexp", true},
                                                       {"mlp.shared_expert.down_proj", "ffn_down_shexp", true}});
constexpr auto kGgufTensors = std::to_array<GgufTensor>(
    {{"input_layernorm.weight", "attn_norm.weight", GgufNumbers::one_more},
     {"post_attention_layernorm.weight", "post_attention_norm.weight", GgufNumbers::one_more},
     {"self_attn.q_norm.weight", "attn_q_norm.weight", GgufNumbers::one_more},
     {"self_attn.k_norm.weight", "attn_k_norm.weight", GgufNumbers::one_more},
     {"model.norm.weight", "output_norm.weight", GgufNumbers::one_more},
     {"linear_attn.norm.weight", "ssm_norm.weight"},
     {"linear_attn.A_log", "ssm_a", GgufNumbers::negative_exponential},
     {"linear_attn.dt_bias", "ssm_dt.bias"},
     {"linear_attn.conv1d.weight", "ssm_conv1d.weight", GgufNumbers::same, GgufAxes::taps, true}});

std::int64_t channels(const ModelConfig& config) {
  return 2 * config.linear_attention->key_width() + config.linear_attention->value_width();
}
// By key head: q, k, v of its value heads, z of them. There q of all heads, k of all, v of all; and z of all.
std::vector<std::int64_t> rows_of_qkvz(const ModelConfig& config) {
  const LinearAttentionConfig& sizes = *config.linear_attention;
  const std::int64_t keys = sizes.key_head_dim, values = sizes.value_width() / sizes.num_key_heads;
  const std::int64_t width = 2 * keys + 2 * values;
  std::vector<std::int64_t> rows;
  for (const auto& [begin, end] :
       {std::pair{std::int64_t{0}, keys}, {keys, 2 * keys}, {2 * keys, 2 * keys + values}, {2 * keys + values, width}})
    for (std::int64_t head = 0; head < sizes.num_key_heads; ++head)
      for (std::int64_t row = begin; row < end; ++row) rows.push_back(head * width + row);
  return rows;
}
constexpr auto kGgufSplits = std::to_array<GgufSplit>(
    {{"linear_attn.in_proj_qkvz", "linear_attn.in_proj_qkv", "linear_attn.in_proj_z", rows_of_qkvz, channels}});

std::int64_t attention_interval(const ModelConfig& config) {
  return static_cast<std::int64_t>(std::min(config.layer_pattern.find(layer_letter::attention),
                                            static_cast<std::size_t>(config.num_hidden_layers))) +
         1;
}

void add_gguf_sizes(const ModelConfig& config, const std::string& architecture, GgufMetadata& metadata) {
  add_llama_gguf_sizes(config, architecture, metadata);
  const LinearAttentionConfig& linear = *config.linear_attention;
  const auto add = [&](const char* key, std::int64_t value) {
    metadata.emplace_back(architecture + key, static_cast<std::uint32_t>(value));
  };
  add(".expert_shared_feed_forward_length", config.experts->shared_width());
  add(".full_attention_interval", attention_interval(config));
  add(".ssm.conv_kernel", linear.conv_kernel);
  add(".ssm.inner_size", linear.value_width());
  add(".ssm.state_size", linear.key_head_dim);
  add(".ssm.time_step_rank", linear.num_value_heads);
  add(".ssm.group_count", linear.num_key_heads);
}

void refuse_gguf(const ModelConfig& config, std::vector<GgufRefusal>& refusals) {
  refuse_qwen_experts_gguf(config, refusals);
  if (config.attention_bias) refusals.push_back({"attention_bias", "false for " + config.model_type, "true"});
  const LinearAttentionConfig& linear = *config.linear_attention;
  if (linear.key_head_dim != linear.value_head_dim)
    refusals.push_back({"linear_value_head_dim", "as linear_key_head_dim, " + std::to_string(linear.key_head_dim),
                        std::to_string(linear.value_head_dim)});
  if (config.layer_pattern != every(attention_interval(config), config.num_hidden_layers))
    refusals.push_back({"layer_types", "full attention in every so many layers", config.layer_pattern});
}

std::string place_without_scale(const std::string& layer, const ModelConfig& /*config*/) {
  return layer.find(".linear_attn.") != std::string::npos ? "no nvfp4 (mxfp4 has no tensor scale) in linear attention"
                                                          : "";
}

constexpr GgufFamily kGguf = {.architecture = "qwen3next",
                              .in_layer = kGgufInLayer,
                              .around = kLlamaGgufAround,
                              .experts = kGgufExperts,
                              .tensors = kGgufTensors,
                              .splits = kGgufSplits,
                              .add_sizes = add_gguf_sizes,
                              .refuse = refuse_gguf,
                              .place_without_scale = place_without_scale};

}  // namespace

extern constinit const Family kQwen3Next = {.model_type = "qwen3_next",
                                            .architecture = "Qwen3NextForCausalLM",
                                            .known_keys = kKnownKeys,
                                            .read = read_keys,
                                            .write = write_keys,
                                            .make = make_qwen3_next,
                                            .gguf = &kGguf};

}  // namespace qad
