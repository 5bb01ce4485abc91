// The recurrence of Mamba-2 by chunks (Dao and Gu, 2024, https://arxiv.org/abs/2405.21060, section 6):
//     Δ = clamp(softplus(dt + dt_bias)),  l = -exp(A_log)·Δ,  u = Δ·x
//     S[n, p] = exp(l)·S[n, p] + B[n]·u[p],  y[p] = Σ_n C[n]·S[n, p] + D·x[p]
// A task is some heads of one group in one sequence. Chunks are counted from the sequence's start, so that neither
// threads nor the rest of the batch nor a cut between two chunks change a bit.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "autograd/kernels/sequence_rows.h"

namespace qad::kernels {

struct ScanShape {
  std::span<const SequenceRows> sequences;  ///< state: S, [heads, state, head_dim]
  std::int64_t heads, head_dim;
  std::int64_t groups, state;  ///< groups divides heads
  float step_low, step_high;
  std::int64_t chunk;  ///< tokens; with 1 the recurrence goes as it is written, and a cut changes no bits anywhere
  std::int64_t dt_stride;

  [[nodiscard]] std::int64_t width() const { return heads * head_dim + 2 * groups * state; }
  [[nodiscard]] std::int64_t state_size() const { return heads * state * head_dim; }
};

/// xBC [rows, heads·head_dim + 2·groups·state], dt [rows, heads] dt_stride apart, the others [heads].
struct ScanInput {
  const float *xBC, *dt, *A_log, *D, *dt_bias;
};

/// How many tasks share the heads of a group, and how many states forward keeps for backward, of state_size() each.
[[nodiscard]] std::int64_t scan_blocks(const ScanShape& shape);
[[nodiscard]] std::int64_t scan_starts(const ScanShape& shape);

/// y [rows, heads·head_dim]; `starts` is kept for backward, or null.
void state_space_scan_forward(const ScanShape& shape, const ScanInput& input, float* y, float* starts);

/// dxBC overwrites, for the rows of all sequences; the others accumulate, and may be null. `partial` [scan_blocks,
/// rows, 2·groups·state] is working memory, not used where there is one block.
struct ScanGradients {
  float *dxBC, *partial, *d_dt, *dA_log, *dD, *d_dt_bias;
};
/// From sequences that begin in the batch.
void state_space_scan_backward(const ScanShape& shape, const ScanInput& input, const float* starts, const float* dy,
                               const ScanGradients& gradients);

/// The most heads of a task.
inline constexpr std::int64_t kMostScanHeads = 16;
/// Heads [first_head, first_head + heads) of a group in one sequence, whose states begin at place first_start.
struct ScanTask {
  std::int64_t sequence, group, block, first_head, heads, first_start;
};
[[nodiscard]] std::vector<ScanTask> scan_tasks(const ScanShape& shape);

}  // namespace qad::kernels
