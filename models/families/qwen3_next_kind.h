// What Qwen3-Next and Qwen3.5 share: three layers of gated DeltaNet to one of gated attention, rotary positions on a
// part of a head, norms whose weights lie around zero.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "models/families/llama_kind.h"
#include "models/layers/gated_delta_net_layer.h"

namespace qad {

/// All keys but those of experts.
void read_qwen3_next_keys(const ConfigReader& config_json, const LlamaDefaults& defaults, ModelConfig& config);
/// What must come after the keys of experts.
void read_qwen3_next_rest(const ConfigReader& config_json, ModelConfig& config);
void write_qwen3_next_keys(const ModelConfig& config, nlohmann::ordered_json& config_json);

struct Qwen3NextExperts {
  std::int64_t num_experts, num_experts_per_tok;
};
/// With a shared expert that has a gate.
void read_qwen3_next_experts(const ConfigReader& config_json, const Qwen3NextExperts& defaults, ModelConfig& config);
void write_qwen3_next_experts(const ModelConfig& config, nlohmann::ordered_json& config_json);

[[nodiscard]] std::unique_ptr<LanguageModel> make_qwen3_next_kind(const ModelConfig& config, const ParameterMaker& make,
                                                                  DeltaNetProjections projections);

}  // namespace qad
