#include "models/families/qwen3_next_kind.h"

#include <nlohmann/json.hpp>

#include "models/families/assemble.h"
#include "models/families/common_keys.h"
#include "models/families/hf_rope.h"
#include "models/families/hybrid_keys.h"
#include "models/layers/attention_layer.h"
#include "models/layers/feed_forward_layer.h"

namespace qad {
namespace {

constexpr const char* kPartial = "partial_rotary_factor";

// Beside the sections of rotary positions, or inside one.
double partial_rotary_factor(const ConfigReader& config_json) {
  const bool is_null = config_json.has(kPartial) && !config_json.says(kPartial);  // then transformers turns all of it
  double factor = config_json.above(0, kPartial, is_null ? 1.0 : 0.25);
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    const ConfigReader::Json json = config_json.object(name);
    const ConfigReader section(json, config_json.who() + ": " + name);
    if (!section.says(kPartial)) continue;
    const double inside = section.above(0, kPartial, factor);
    if (config_json.says(kPartial) && inside != factor)
      section.refuse(kPartial, "partial_rotary_factor as in the config");
    factor = inside;
  }
  if (factor > 1) config_json.refuse(kPartial, "a partial_rotary_factor of at most 1");
  return factor;
}

}  // namespace

void read_qwen3_next_keys(const ConfigReader& config_json, const LlamaDefaults& defaults, ModelConfig& config) {
  read_llama_sizes(config_json, defaults, config);
  read_llama_widths(config_json, defaults, config);
  read_numbers(config_json, config);
  read_attention_bias(config_json, config);
  refuse_if_true(config_json, {"use_sliding_window", "mlp_bias"});
  if (!config_json.flag("attn_output_gate", true))
    config_json.refuse("attn_output_gate", "attn_output_gate to be true");
  config.qk_norm = true;
  config.partial_rotary_factor = partial_rotary_factor(config_json);
  read_linear_attention(config_json, config);
}

void read_qwen3_next_rest(const ConfigReader& config_json, ModelConfig& config) {
  read_special_tokens(config_json, config);
  config.check(config_json.who());
  read_rope(config_json, config);
}

void write_qwen3_next_keys(const ModelConfig& config, nlohmann::ordered_json& config_json) {
  write_llama_sizes(config, config_json);
  config_json["attention_bias"] = config.attention_bias;
  write_linear_attention(config, config_json);
  write_rope(config, config_json);
  config_json[kPartial] = config.partial_rotary_factor;
  if (!config_json["rope_scaling"].is_null()) config_json["rope_scaling"][kPartial] = config.partial_rotary_factor;
  write_special_tokens(config, config_json);
}

void read_qwen3_next_experts(const ConfigReader& config_json, const Qwen3NextExperts& defaults, ModelConfig& config) {
  const auto size = [&](const char* key, std::int64_t fallback) { return config_json.whole(key, fallback, 1); };
  ExpertsConfig& experts = config.experts.emplace();
  experts.num_experts = read_expert_count(config_json, defaults.num_experts);
  experts.num_experts_per_tok = size("num_experts_per_tok", defaults.num_experts_per_tok);
  experts.moe_intermediate_size = size("moe_intermediate_size", 512);
  experts.n_shared_experts = 1;
  experts.shared_expert_intermediate_size = size("shared_expert_intermediate_size", 512);
  experts.norm_topk_prob = true;
}

void write_qwen3_next_experts(const ModelConfig& config, nlohmann::ordered_json& config_json) {
  const ExpertsConfig experts = config.experts.value_or(ExpertsConfig());
  config_json["num_experts"] = experts.num_experts;
  config_json["num_experts_per_tok"] = experts.num_experts_per_tok;
  config_json["moe_intermediate_size"] = experts.moe_intermediate_size;
  config_json["shared_expert_intermediate_size"] = experts.shared_width();
}

std::unique_ptr<LanguageModel> make_qwen3_next_kind(const ModelConfig& config, const ParameterMaker& make,
                                                    DeltaNetProjections projections) {
  constexpr ExpertNames kExperts = {.shared = "shared_expert", .shared_gate = "shared_expert_gate"};
  constexpr float kOffset = 1.0f;  // of the weights of all norms but those behind the recurrence
  const auto rotary = std::make_shared<Rotary>(config);
  return assemble_model(config, make, {.norm_offset = kOffset}, [&](std::int64_t i, const std::string& block) {
    const std::string norm = block + ".input_layernorm";
    const LayerPlace mlp{i, block + ".mlp", block + ".post_attention_layernorm", kOffset};
    std::vector<Residual> parts;
    parts.push_back(config.layer_kind(i) == layer_letter::attention
                        ? make_attention(config, {i, block + ".self_attn", norm, kOffset}, rotary, make, true)
                        : make_gated_delta_net(config, {i, block + ".linear_attn", norm, kOffset}, projections, make));
    parts.push_back(config.has_experts(i) ? make_experts(config, mlp, kExperts, make)
                                          : make_feed_forward(config, mlp, make));
    return parts;
  });
}

}  // namespace qad
