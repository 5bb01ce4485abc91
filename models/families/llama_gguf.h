// GGUF of the families of the Llama kind: llama.cpp's names of their modules and sizes.
//
// Source: llama.cpp v0.5.0, src/llama-arch.cpp, src/models/{llama,qwen2,qwen3,qwen3moe}.cpp,
// conversion/{base,llama,qwen}.py.
#pragma once

#include <array>

#include "models/families/gguf_family.h"

namespace qad {

inline constexpr auto kLlamaGgufInLayer = std::to_array<GgufName>({{"input_layernorm", "attn_norm", false},
                                                                   {"self_attn.q_proj", "attn_q", true},
                                                                   {"self_attn.k_proj", "attn_k", true},
                                                                   {"self_attn.v_proj", "attn_v", true},
                                                                   {"self_attn.q_norm", "attn_q_norm", false},
                                                                   {"self_attn.k_norm", "attn_k_norm", false},
                                                                   {"self_attn.o_proj", "attn_output", true},
                                                                   {"post_attention_layernorm", "ffn_norm", false},
                                                                   {"mlp.gate_proj", "ffn_gate", true},
                                                                   {"mlp.up_proj", "ffn_up", true},
                                                                   {"mlp.down_proj", "ffn_down", true}});
inline constexpr auto kLlamaGgufAround = std::to_array<GgufName>(
    {{"model.embed_tokens", "token_embd", false}, {"model.norm", "output_norm", false}, {"lm_head", "output", true}});

/// Modules whose rows llama.cpp's llama turns as neighbours.
inline constexpr std::array<std::string_view, 2> kLlamaGgufNeighbours = {"self_attn.q_proj", "self_attn.k_proj"};

/// The architecture llama, which is Mistral's too.
extern const GgufFamily kLlamaGguf;

/// With the counts of experts, where there are any.
void add_llama_gguf_sizes(const ModelConfig& config, const std::string& architecture, GgufMetadata& metadata);
/// A sliding window, and scalings of rotary positions that llama.cpp has nowhere.
void refuse_llama_gguf(const ModelConfig& config, std::vector<GgufRefusal>& refusals);
/// The same, and what llama.cpp reads for llama but not for Qwen's architectures.
void refuse_qwen_gguf(const ModelConfig& config, std::vector<GgufRefusal>& refusals);
/// The same, and what it has for models with experts: them in every layer, a token's weights always normalized.
void refuse_qwen_experts_gguf(const ModelConfig& config, std::vector<GgufRefusal>& refusals);
/// Feed-forward layers with biases.
[[nodiscard]] std::string llama_gguf_place_without_scale(const std::string& layer, const ModelConfig& config);

}  // namespace qad
