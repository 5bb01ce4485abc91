#include "models/families/llama_gguf.h"

#include <fmt/format.h>

#include <cmath>

#include "models/layers/rotary.h"

namespace qad {
namespace {

// llama3's rule is a tensor of factors instead (qad/layouts/gguf.h).
void add_rope_scaling(const ModelConfig& config, const std::string& architecture, GgufMetadata& metadata) {
  const RopeScaling& scaling = config.rope_scaling;
  const bool yarn = scaling.rope_type == RopeScalingKind::yarn;
  if (!yarn && scaling.rope_type != RopeScalingKind::linear) return;
  const std::string key = architecture + ".rope.scaling.";
  const auto add = [&](const char* name, double value) {
    metadata.emplace_back(key + name, static_cast<float>(value));
  };
  metadata.emplace_back(key + "type", std::string(enum_name(scaling.rope_type)));
  add("factor", scaling.factor);
  if (!yarn) return;
  metadata.emplace_back(key + "original_context_length",
                        static_cast<std::uint32_t>(scaling.original_max_position_embeddings));
  // llama.cpp multiplies its own magnitude with attn_factor.
  if (scaling.attention_factor > 0)
    add("attn_factor", rotary_magnitude(scaling) / (0.1 * std::log(scaling.factor) + 1.0));
}

}  // namespace

constinit const GgufFamily kLlamaGguf = {.architecture = "llama",
                                         .in_layer = kLlamaGgufInLayer,
                                         .around = kLlamaGgufAround,
                                         .neighbours = kLlamaGgufNeighbours,
                                         .add_sizes = add_llama_gguf_sizes,
                                         .refuse = refuse_llama_gguf,
                                         .place_without_scale = llama_gguf_place_without_scale};

void add_llama_gguf_sizes(const ModelConfig& config, const std::string& architecture, GgufMetadata& metadata) {
  const auto add = [&](const char* key, std::int64_t value) {
    metadata.emplace_back(architecture + key, static_cast<std::uint32_t>(value));
  };
  add(".vocab_size", config.vocab_size);
  add(".context_length", config.max_position_embeddings);
  add(".embedding_length", config.hidden_size);
  add(".block_count", config.num_hidden_layers);
  add(".feed_forward_length", config.intermediate_size);
  add(".attention.head_count", config.num_attention_heads);
  add(".attention.head_count_kv", config.num_key_value_heads);
  add(".attention.key_length", config.head_size());
  add(".attention.value_length", config.head_size());
  add(".rope.dimension_count", config.rotary_width());
  if (config.experts) {
    add(".expert_count", config.experts->num_experts);
    add(".expert_used_count", config.experts->num_experts_per_tok);
    add(".expert_feed_forward_length", config.experts->moe_intermediate_size);
  }
  metadata.emplace_back(architecture + ".attention.layer_norm_rms_epsilon", static_cast<float>(config.rms_norm_eps));
  metadata.emplace_back(architecture + ".rope.freq_base", static_cast<float>(config.rope_theta));
  add_rope_scaling(config, architecture, metadata);
}

void refuse_llama_gguf(const ModelConfig& config, std::vector<GgufRefusal>& refusals) {
  const bool whole_context = config.sliding_window == 0 || config.sliding_window >= config.max_position_embeddings ||
                             config.max_window_layers >= config.num_hidden_layers;
  if (!whole_context)
    refusals.push_back({"sliding_window",
                        fmt::format("none within max_position_embeddings {}", config.max_position_embeddings),
                        std::to_string(config.sliding_window)});
  const RopeScaling& scaling = config.rope_scaling;
  const auto refuse_rope = [&](const std::string& expected, const std::string& got) {
    refusals.push_back({"rope_scaling", expected, got});
  };
  if (scaling.rope_type == RopeScalingKind::dynamic) refuse_rope("linear, yarn, llama3 or none", "dynamic");
  const RopeScaling known;  // of yarn's bounds llama.cpp has these alone
  if (scaling.rope_type == RopeScalingKind::yarn) {
    if (scaling.beta_fast != known.beta_fast || scaling.beta_slow != known.beta_slow)
      refuse_rope(fmt::format("beta_fast {} and beta_slow {}", known.beta_fast, known.beta_slow),
                  fmt::format("{} and {}", scaling.beta_fast, scaling.beta_slow));
    if (!scaling.truncate) refuse_rope("truncate true for yarn", "false");
  }
}

void refuse_qwen_gguf(const ModelConfig& config, std::vector<GgufRefusal>& refusals) {
  refuse_llama_gguf(config, refusals);
  if (config.attention_output_bias) refusals.push_back({"attention_bias", "false for " + config.model_type, "true"});
  if (config.rope_scaling.rope_type == RopeScalingKind::llama3)
    refusals.push_back({"rope_scaling", "linear, yarn or none for " + config.model_type, "llama3"});
}

void refuse_qwen_experts_gguf(const ModelConfig& config, std::vector<GgufRefusal>& refusals) {
  refuse_qwen_gguf(config, refusals);
  const ExpertsConfig& experts = *config.experts;
  if (!experts.norm_topk_prob) refusals.push_back({"norm_topk_prob", "true", "false"});
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    if (experts.has_layer(layer)) continue;
    refusals.push_back({"mlp_only_layers and decoder_sparse_step", "experts in every layer",
                        "none in layer " + std::to_string(layer)});
    return;
  }
}

std::string llama_gguf_place_without_scale(const std::string& layer, const ModelConfig& config) {
  const bool feed_forward = layer.find(".mlp.") != std::string::npos;
  return feed_forward && config.mlp_bias ? "no nvfp4 where mlp_bias is true" : "";
}

}  // namespace qad
