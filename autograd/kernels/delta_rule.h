// The gated delta rule, by chunks of tokens (Yang et al., 2024, https://arxiv.org/abs/2412.06464, section 3.3, with one
// triangular solve in place of two, since a CPU walks a sequence's chunks in order anyway). Of every value head
//   S' = exp(l)·S,  e = v - S'ᵀk^,  S = S' + σ(beta)·k^·eᵀ,  o = Sᵀq^
// with k^ = k/sqrt(Σk² + 1e-6) and q^ = q/sqrt(Σq² + 1e-6)/sqrt(key_dim).
#pragma once

#include <cstdint>
#include <span>

#include "autograd/kernels/sequence_rows.h"

namespace qad::kernels {

/// Tokens of a chunk; chunks end where the position in the sequence is a multiple of it.
inline constexpr std::int64_t kDeltaChunk = 64;

/// The state is [value_heads, key_dim, value_dim].
struct DeltaRuleSegment : SequenceRows {
  std::int64_t first_start = 0;  ///< where its chunks' starts lie among those of all (count_starts)

  [[nodiscard]] std::int64_t chunks() const {
    return (cached + size() + kDeltaChunk - 1) / kDeltaChunk - cached / kDeltaChunk;
  }
};

struct DeltaRuleExtents {
  std::span<const DeltaRuleSegment> segments;
  std::int64_t key_heads, value_heads;  ///< key_heads divides value_heads: consecutive value heads share a key head
  std::int64_t key_dim, value_dim;
  bool by_channel;  ///< decay has key_dim numbers a value head, else one

  [[nodiscard]] std::int64_t decay_width() const { return by_channel ? key_dim : 1; }
  [[nodiscard]] std::int64_t state_size() const { return key_dim * value_dim; }
};

/// Rows of a matrix, `stride` numbers apart.
template <class Float>
struct StridedRows {
  Float* data;
  std::int64_t stride;
};

/// q, k [tokens, key_heads·key_dim], v [tokens, value_heads·value_dim], decay (l ≤ 0) [tokens,
/// value_heads·decay_width], beta [tokens, value_heads].
template <class Float>
struct DeltaRuleTensors {
  StridedRows<Float> q, k, v, decay, beta;
};

/// Sets every segment's first_start; returns how many states [value_heads, key_dim, value_dim] the starts of all chunks
/// take. That of a sequence's first chunk is zero and not among them.
std::int64_t count_starts(std::span<DeltaRuleSegment> segments);

/// out [tokens, value_heads·value_dim]. `starts`, if not null, takes the states at the chunks' starts for backward.
void delta_rule_forward(const DeltaRuleExtents& e, const DeltaRuleTensors<const float>& x, float* out, float* starts);
/// Of whole sequences (none cached). All gradients add; data that is null stands for one that nobody asks for.
void delta_rule_backward(const DeltaRuleExtents& e, const DeltaRuleTensors<const float>& x, const float* starts,
                         const float* d_out, const DeltaRuleTensors<float>& gradients);

}  // namespace qad::kernels
