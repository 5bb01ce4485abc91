// The language models of Qwen3.5, dense and with experts: Qwen3-Next with projections that lie apart. Positions of
// images (mrope) are those of text where there is no image.
#include <array>
#include <nlohmann/json.hpp>

#include "models/families/family.h"
#include "models/families/qwen3_next_kind.h"

namespace qad {
namespace {

constexpr LlamaDefaults kDense = {.vocab_size = 248320,
                                  .hidden_size = 4096,
                                  .intermediate_size = 12288,
                                  .num_hidden_layers = 32,
                                  .num_attention_heads = 16,
                                  .num_key_value_heads = 4,
                                  .head_dim = 256,
                                  .max_position_embeddings = 32768};
constexpr LlamaDefaults kSparse = {.vocab_size = 248320,
                                   .hidden_size = 2048,
                                   .intermediate_size = 512,  // of no layer
                                   .num_hidden_layers = 40,
                                   .num_attention_heads = 16,
                                   .num_key_value_heads = 2,
                                   .head_dim = 256,
                                   .max_position_embeddings = 32768};

constexpr auto kKnownKeys =
    std::to_array<std::string_view>({"qk_norm", "use_qk_norm", "qk_layernorm", "num_local_experts", "num_experts",
                                     "partial_rotary_factor", "attn_output_gate", "use_mrope"});

// What says how images are placed is not for us.
ConfigReader::Json without_image_positions(const ConfigReader& config_json) {
  ConfigReader::Json json = config_json.whole_object();
  for (const char* section : {"rope_scaling", "rope_parameters"})
    if (json.contains(section) && json[section].is_object())
      for (const char* key : {"mrope_section", "mrope_interleaved"}) json[section].erase(key);
  return json;
}

void read_dense(const ConfigReader& config_json, ModelConfig& config) {
  const ConfigReader::Json json = without_image_positions(config_json);
  const ConfigReader text(json, config_json.who());
  read_qwen3_next_keys(text, kDense, config);
  read_qwen3_next_rest(text, config);
}

void read_sparse(const ConfigReader& config_json, ModelConfig& config) {
  const ConfigReader::Json json = without_image_positions(config_json);
  const ConfigReader text(json, config_json.who());
  read_qwen3_next_keys(text, kSparse, config);
  read_qwen3_next_experts(text, {.num_experts = 256, .num_experts_per_tok = 8}, config);
  read_qwen3_next_rest(text, config);
}

void write_sparse(const ModelConfig& config, nlohmann::ordered_json& config_json) {
  write_qwen3_next_keys(config, config_json);
  write_qwen3_next_experts(config, config_json);
}

std::unique_ptr<LanguageModel> make_qwen3_5(const ModelConfig& config, const ParameterMaker& make) {
  return make_qwen3_next_kind(config, make, DeltaNetProjections::apart);
}

}  // namespace

extern constinit const Family kQwen35 = {.model_type = "qwen3_5_text",
                                         .architecture = "Qwen3_5ForCausalLM",
                                         .known_keys = kKnownKeys,
                                         .read = read_dense,
                                         .write = write_qwen3_next_keys,
                                         .make = make_qwen3_5};

extern constinit const Family kQwen35Moe = {.model_type = "qwen3_5_moe_text",
                                            .architecture = "Qwen3_5MoeForCausalLM",
                                            .known_keys = kKnownKeys,
                                            .read = read_sparse,
                                            .write = write_sparse,
                                            .make = make_qwen3_5};

}  // namespace qad
