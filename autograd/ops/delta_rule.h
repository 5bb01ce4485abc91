// Recurrences that correct what they remember: the gated delta rule (Yang et al., 2024,
// https://arxiv.org/abs/2412.06464) and Kimi Delta Attention, whose decay is by channel (Kimi Linear, 2025,
// https://arxiv.org/abs/2510.26692).
//
// Shapes: T tokens, Hk heads of queries and keys of dk numbers, Hv heads of values of dv numbers.
#pragma once

#include "autograd/kernels/delta_rule.h"
#include "autograd/ops/causal_convolution.h"

namespace qad {

/// l = -exp(A_log)·softplus(g + dt_bias): how much of a state is forgotten, as a logarithm. g and dt_bias have n
/// columns, A_log has one number for every n/H of them side by side (H = its size).            -> [T, n]
///   dg = -dl·exp(A_log)·σ(g + dt_bias),  d_dt_bias = Σ_t dg,  dA_log = Σ dl·l
[[nodiscard]] Variable log_decay(const Columns& g, const ParameterOperand& A_log, const ParameterOperand& dt_bias);

struct DeltaRuleShape {
  std::int64_t key_heads = 0, value_heads = 0;  ///< Hk divides Hv: consecutive value heads share a key head
  std::int64_t key_dim = 0, value_dim = 0;      ///< dk, dv
};

/// q, k [T, Hk·dk], v [T, Hv·dv], beta [T, Hv] before its sigmoid, decay l [T, Hv] (by head) or [T, Hv·dk] (by
/// channel). Of every value head, from S = 0 [dk, dv] at the start of a sequence, with q^ = q/sqrt(Σq² + 1e-6)/sqrt(dk)
/// and k^ = k/sqrt(Σk² + 1e-6):
///   S' = exp(l)·S (rows of S by channel),  e = v - S'ᵀk^,  S = S' + σ(beta)·k^·eᵀ,  o = Sᵀq^       -> o [T, Hv·dv]
/// It goes by chunks of kDeltaChunk tokens that are counted from the start of the sequence, with products of matrices
/// and one triangular solve; backward keeps the states at the chunks' starts and computes all else again.
/// `states` [slots, Hv, dk, dv], where a model decodes: S of every sequence after its last token, read where a part has
/// tokens before it, and brought up to date.
[[nodiscard]] Variable delta_rule(const Columns& q, const Columns& k, const Columns& v, const Variable& decay,
                                  const Columns& beta, const DeltaRuleShape& shape, const SequenceParts& parts,
                                  const Tensor* states);

inline constexpr std::int64_t kDeltaChunk = kernels::kDeltaChunk;

}  // namespace qad
