// The recurrence of Mamba-2 (Dao and Gu, 2024, https://arxiv.org/abs/2405.21060).
//
// Shapes: T tokens, H heads of P numbers, G groups of heads, N numbers of state for each.
#pragma once

#include "autograd/ops/causal_convolution.h"

namespace qad {

struct StateSpaceShape {
  std::int64_t heads = 0, head_dim = 0;  ///< H, P
  std::int64_t groups = 0, state = 0;    ///< G divides H: consecutive heads share B and C; N
  double step_low = 0;                   ///< Δ is kept from here …
  double step_high = 0;                  ///< … to here; may be infinite
};

/// Parameters by head, [H] each.
struct StateSpaceParameters {
  ParameterOperand A_log, D, dt_bias;
};

/// xBC [T, H·P + 2·G·N] has x, B and C side by side, dt has H columns. Of every head, from S = 0 at the start of a
/// sequence:
///   Δ = clamp(softplus(dt + dt_bias)),  l = -exp(A_log)·Δ
///   S[n, p] = exp(l)·S[n, p] + B[n]·Δ·x[p],  y[p] = Σ_n C[n]·S[n, p] + D·x[p]          -> y [T, H·P]
/// It goes by chunks of kScanChunk tokens that are counted from the start of the sequence, with products of matrices;
/// backward keeps the states at the chunks' starts and computes all else again.
/// A sequence has the same bits wherever it lies in a batch and however it was cut between chunks; where batches must
/// not change bits (tape/batch_invariant.h) it goes token by token, so that no cut does. `parts` cover all rows.
///   With dS the gradient of a state, from the right:  du = Bᵀ·dS,  dx = Δ·du + D·dy,  dB = Σ over a group's heads
///   dS·u, dC = Σ over a group's heads S·dy,  dl = exp(l)·⟨dS, S before⟩,  dΔ = ⟨du, x⟩ - exp(A_log)·dl (0 where
///   clamped), dA_log = Σ dl·l,  dD = Σ dy·x,  ddt = dΔ·σ(dt + dt_bias), and summed for dt_bias
/// `states` [slots, H, N, P], where a model decodes: S of every sequence after its last token, read where a part has
/// tokens before it, and brought up to date.
[[nodiscard]] Variable state_space_scan(const Variable& xBC, const Columns& dt, const StateSpaceParameters& parameters,
                                        const StateSpaceShape& shape, const SequenceParts& parts, const Tensor* states);

inline constexpr std::int64_t kScanChunk = 64;

}  // namespace qad
