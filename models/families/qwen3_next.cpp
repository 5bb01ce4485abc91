// Qwen3-Next: gated DeltaNet and gated attention, experts with a shared one in most layers.
#include <array>
#include <nlohmann/json.hpp>

#include "models/families/family.h"
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

}  // namespace

extern constinit const Family kQwen3Next = {.model_type = "qwen3_next",
                                            .architecture = "Qwen3NextForCausalLM",
                                            .known_keys = kKnownKeys,
                                            .read = read_keys,
                                            .write = write_keys,
                                            .make = make_qwen3_next};

}  // namespace qad
