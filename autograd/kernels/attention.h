// Causal attention inside segments, with grouped key/value heads: out = softmax(q·kᵀ·scale + causal mask)·v.
// Neither direction ever holds a [tokens, tokens] matrix of a whole segment: rows go in tiles, and backward recomputes
// the probabilities from the saved log-sum-exp (Dao et al., FlashAttention, 2022).
#pragma once

#include <cstdint>
#include <span>

namespace qad::kernels {

/// Queries [q_begin, q_end) attend to keys [k_begin, k_end). The last query sees the last key; a query i places before
/// it sees all but the last i keys. (With a cache, there are more keys than queries.)
struct AttentionSegment {
  std::int64_t q_begin, q_end, k_begin, k_end;
};

struct AttentionShape {
  std::span<const AttentionSegment> segments;
  std::int64_t heads;     ///< query heads
  std::int64_t kv_heads;  ///< divides heads; query head h reads key/value head h / (heads / kv_heads)
  std::int64_t head_dim;
  float scale;              ///< usually 1/sqrt(head_dim)
  std::int64_t window = 0;  ///< sliding window: a query sees at most this many keys, itself included; 0 for all
  bool one_by_one = false;  ///< forward: a query's bits do not depend on those beside it
};

/// q, out [queries, heads·head_dim]; k, v [keys, kv_heads·head_dim]; log_sum_exp [queries, heads] is kept for backward.
void attention_forward(const AttentionShape& shape, const float* q, const float* k, const float* v, float* out,
                       float* log_sum_exp);
/// dq, dk, dv overwrite, for the rows of all segments (which must not overlap).
void attention_backward(const AttentionShape& shape, const float* q, const float* k, const float* v,
                        const float* log_sum_exp, const float* d_out, float* dq, float* dk, float* dv);

}  // namespace qad::kernels
