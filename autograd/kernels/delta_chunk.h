// A chunk of tokens of the gated delta rule (delta_rule.h): what both directions compute of it, and its forward.
#pragma once

#include "autograd/kernels/decayed_pairs.h"
#include "autograd/kernels/delta_rule.h"

namespace qad::kernels {

/// Rows that a triangular solve takes at once: their results stay in registers.
inline constexpr std::int64_t kDeltaSolveRows = 16;

template <class Float>
Float* at(const StridedRows<Float>& rows, std::int64_t row, std::int64_t column) {
  return rows.data + row * rows.stride + column;
}

/// One value head's part of a chunk of n tokens, and memory for what is computed of it on the way.
struct DeltaChunk {
  using Input = DeltaRuleTensors<const float>;

  std::int64_t n = 0, key_dim, value_dim, width;
  float* rows;    ///< [2n, dk]: k^, below them q^
  float* L;       ///< [n, width]: sums of the decay since the chunk's start, with the token's own
  float* beta;    ///< [n], after the sigmoid
  float* pairs;   ///< [2n, n] (decayed_pairs.h)
  float* reads;   ///< [2n, dk] = rows·exp(L)
  float* writes;  ///< [n, dk] = k^·exp(L_end - L)
  float* values;  ///< [2n, dv]: reads·S, then the errors e and below them the outputs
  float* w;       ///< [n, dv] = σ(beta)·e
  float* left;    ///< [kDeltaSolveRows, dv], for the solve

  /// How many floats of memory it takes, which stays the caller's.
  static std::int64_t room(const DeltaRuleExtents& e);
  DeltaChunk(const DeltaRuleExtents& e, float* memory);

  /// The chunk is tokens [first, first + count); rows.
  void load_keys_and_queries(const Input& x, std::int64_t first, std::int64_t count, std::int64_t key_head);
  /// Adds to the gradients of k and q what those of rows, d_rows [2n, dk], make of them.
  void give_keys_and_queries(const Input& x, std::int64_t first, std::int64_t key_head, const float* d_rows,
                             const DeltaRuleTensors<float>& gradients) const;
  /// L and beta.
  void load_decay_and_beta(const Input& x, std::int64_t first, std::int64_t head);
  /// From the state S at the chunk's start, null for zero: pairs, reads, writes, the errors, w; with `queries` also
  /// what q^ reads of S.
  void correct(const Input& x, std::int64_t first, std::int64_t head, const float* S, bool queries);
  /// The outputs, and the state at the chunk's end unless `next` is null; it may be S.
  void forward(const Input& x, std::int64_t first, std::int64_t head, const float* S, float* next,
               const StridedRows<float>& out);
  /// The same for a chunk of a single token, S and next not null.
  void forward_token(const Input& x, std::int64_t row, std::int64_t head, const float* S, float* next,
                     const StridedRows<float>& out);
  /// next = exp(L_end)·S for a state or its gradient; next may be S.
  void fade(const float* S, float* next) const;

  [[nodiscard]] const float* L_end() const { return L + (n - 1) * width; }
  [[nodiscard]] DecayedRows decayed() const { return {n, key_dim, width, rows, L}; }
};

}  // namespace qad::kernels
