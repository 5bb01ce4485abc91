#include "models/families/registry.h"

#include <algorithm>
#include <array>

#include "autograd/base/error.h"
#include "models/families/llama.h"

namespace qad {
namespace {

// Defaults: transformers 5.24, models/*/configuration_*.py. Nemotron's own class derives from Llama's.
constexpr std::array<Family, 6> kFamilies = {{
    {.model_type = "llama",
     .architecture = "LlamaForCausalLM",
     .vocab_size = 32000,
     .hidden_size = 4096,
     .intermediate_size = 11008,
     .num_hidden_layers = 32,
     .num_attention_heads = 32,
     .num_key_value_heads = 0,
     .head_dim = 0,
     .max_position_embeddings = 2048,
     .window = WindowRule::none,
     .query_bias = false,
     .says_attention_bias = true,
     .says_mlp_bias = true,
     .qk_norm = false,
     .has_blocks = false,
     .make = make_llama},
    {.model_type = "mistral",
     .architecture = "MistralForCausalLM",
     .vocab_size = 32000,
     .hidden_size = 4096,
     .intermediate_size = 14336,
     .num_hidden_layers = 32,
     .num_attention_heads = 32,
     .num_key_value_heads = 8,
     .head_dim = 0,
     .max_position_embeddings = 131072,
     .window = WindowRule::every_layer,
     .query_bias = false,
     .says_attention_bias = false,
     .says_mlp_bias = false,
     .qk_norm = false,
     .has_blocks = false,
     .make = make_llama},
    {.model_type = "nemotron-nas",
     .architecture = "DeciLMForCausalLM",
     .vocab_size = 32000,
     .hidden_size = 4096,
     .intermediate_size = 11008,
     .num_hidden_layers = 32,
     .num_attention_heads = 32,
     .num_key_value_heads = 0,
     .head_dim = 0,
     .max_position_embeddings = 2048,
     .window = WindowRule::none,
     .query_bias = false,
     .says_attention_bias = true,
     .says_mlp_bias = true,
     .qk_norm = false,
     .has_blocks = true,
     .make = make_llama},
    {.model_type = "qwen2",
     .architecture = "Qwen2ForCausalLM",
     .vocab_size = 151936,
     .hidden_size = 4096,
     .intermediate_size = 22016,
     .num_hidden_layers = 32,
     .num_attention_heads = 32,
     .num_key_value_heads = 32,
     .head_dim = 0,
     .max_position_embeddings = 32768,
     .window = WindowRule::later_layers,
     .query_bias = true,
     .says_attention_bias = false,
     .says_mlp_bias = false,
     .qk_norm = false,
     .has_blocks = false,
     .make = make_llama},
    {.model_type = "qwen3",
     .architecture = "Qwen3ForCausalLM",
     .vocab_size = 151936,
     .hidden_size = 4096,
     .intermediate_size = 22016,
     .num_hidden_layers = 32,
     .num_attention_heads = 32,
     .num_key_value_heads = 32,
     .head_dim = 128,
     .max_position_embeddings = 32768,
     .window = WindowRule::later_layers,
     .query_bias = false,
     .says_attention_bias = true,
     .says_mlp_bias = false,
     .qk_norm = true,
     .has_blocks = false,
     .make = make_llama},
    {.model_type = "qwen3_moe",
     .architecture = "Qwen3MoeForCausalLM",
     .vocab_size = 151936,
     .hidden_size = 2048,
     .intermediate_size = 6144,
     .num_hidden_layers = 24,
     .num_attention_heads = 32,
     .num_key_value_heads = 4,
     .head_dim = 0,
     .max_position_embeddings = 32768,
     .window = WindowRule::all_if_used,
     .query_bias = false,
     .says_attention_bias = true,
     .says_mlp_bias = false,
     .qk_norm = true,
     .has_blocks = false,
     .has_experts = true,
     .make = make_llama},
}};

}  // namespace

std::span<const Family> families() { return kFamilies; }

const Family& family_of(const std::string& model_type, const std::string& who) {
  const auto* const found = std::ranges::find(kFamilies, model_type, &Family::model_type);
  if (found != kFamilies.end()) return *found;
  std::string known;
  for (const Family& family : kFamilies) known += (known.empty() ? "" : ", ") + std::string(family.model_type);
  throw Error({who, "model_type to be one of " + known, "'" + model_type + "'", ""});
}

std::unique_ptr<LanguageModel> make_model(const ModelConfig& config, const ParameterMaker& make) {
  return family_of(config.model_type, "model").make(config, [&](const ParameterSpec& spec) {
    ParameterPointer parameter = make(spec);
    parameter->role = spec.role;
    return parameter;
  });
}

}  // namespace qad
