// Llama and its relatives of the same shape: Mistral, Qwen2 and Qwen3 (dense), and Llama-Nemotron, whose blocks may
// lack attention or feed-forward, and Qwen3-MoE. They differ by config alone: biases, q/k norms, a sliding window,
// head_dim, experts, tying.
#pragma once

#include <memory>

#include "models/language_model.h"

namespace qad {

[[nodiscard]] std::unique_ptr<LanguageModel> make_llama(const ModelConfig& config, const ParameterMaker& make);

}  // namespace qad
