// Self-attention with rotary positions, grouped key/value heads, optional q/k normalisation, and a key/value cache.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "autograd/nn/linear.h"
#include "autograd/ops/attention.h"
#include "autograd/ops/rope.h"

namespace qad {

/// Where the tokens of a forward stand.
struct AttentionPlan {
  std::shared_ptr<const std::vector<std::int32_t>> positions;  ///< [tokens]
  AttentionSegments segments;
  RotaryTable rotary;  ///< undefined: no rotary positions
};

/// Keys and values of one layer for decoding, rotated, in the rows that the plan's segments name.
struct LayerCache {
  Tensor keys, values;             ///< [capacity, kv_heads·head_dim]
  std::vector<std::int64_t> rows;  ///< row of each new token
};

struct SelfAttention {
  std::string name;  ///< model.layers.0.self_attn
  AttentionConfig config;
  float norm_epsilon = 1e-6f, norm_offset = 0.0f;
  bool gated = false;                  ///< of every head q makes 2·head_dim numbers: queries, and a gate of the output
  LinearGroup qkv;                     ///< members q, k, v
  LinearGroup output;                  ///< member o
  ParameterPointer q_norm, k_norm;     ///< [head_dim], or null
  TransformSlot key_slot, value_slot;  ///< after the rotary embedding, before attention and the cache

  [[nodiscard]] Variable operator()(const Variable& x, const AttentionPlan& plan, const LayerCache* cache) const;
};

}  // namespace qad
