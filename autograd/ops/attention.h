// Causal attention inside segments.
#pragma once

#include <memory>
#include <vector>

#include "autograd/kernels/attention.h"
#include "autograd/tape/variable.h"

namespace qad {

struct AttentionConfig {
  std::int64_t heads, kv_heads, head_dim;
  std::int64_t window = 0;  ///< 0: no sliding window
};

using AttentionSegments = std::shared_ptr<const std::vector<kernels::AttentionSegment>>;

/// softmax(q·kᵀ/sqrt(head_dim) + causal mask inside each segment)·v; q [queries, heads·head_dim],
/// k and v [keys, kv_heads·head_dim]. Backward recomputes the probabilities from the rows' log-sum-exp.
[[nodiscard]] Variable attention(const Variable& q, const Variable& k, const Variable& v,
                                 const AttentionSegments& segments, const AttentionConfig& config);

}  // namespace qad
