// What the files of DeepSeek's families share: latent attention and routed experts beside a shared one.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "models/families/config_reader.h"
#include "models/families/llama_kind.h"

namespace qad {

/// Its deepseek2 multiplies no product with the tensor scale of NVFP4 (llama.cpp v0.5.0, src/models/deepseek2.cpp), and
/// no layout here writes the family for MXFP4 alone.
inline constexpr std::string_view kNoDeepseekGguf =
    "llama.cpp leaves out NVFP4's tensor scales in this family, so that no file is written for it";

/// What transformers' config class takes for a key that is not there (5.24).
struct DeepseekDefaults {
  LlamaDefaults sizes;
  std::int64_t moe_intermediate_size, n_routed_experts, n_shared_experts, first_k_dense_replace;
  std::int64_t num_experts_per_tok;  ///< 0: the key must be there
  double routed_scaling_factor;
};

/// Sizes, numbers and experts but for how they are chosen; latent attention. Refuses what is not here: biases, rotary
/// positions that do not turn neighbours, layers without experts among those with them.
void read_deepseek_keys(const ConfigReader& config_json, const DeepseekDefaults& defaults, ModelConfig& config);
/// Sizes of latent attention; `q_lora_rank`: where the key is not there, null being none.
void read_latent_attention(const ConfigReader& config_json, std::int64_t q_lora_rank, ModelConfig& config);
void write_latent_attention(const ModelConfig& config, nlohmann::ordered_json& config_json);
/// Groups of experts, for who has them: null is one group.
void read_expert_groups(const ConfigReader& config_json, std::int64_t groups, std::int64_t taken,
                        ExpertsConfig& experts);
void write_deepseek_keys(const ModelConfig& config, nlohmann::ordered_json& config_json);

}  // namespace qad
