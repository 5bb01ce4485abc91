// Products of the rows of a chunk of tokens with a decay between them, for recurrences whose state decays by head or by
// channel. No exponent above zero appears on the way, so nothing overflows however steep the decay.
#pragma once

#include <cstdint>

namespace qad::kernels {

/// With decay by channel e^-L alone overflows: rows go in blocks of this many. What lies left of a block is a product
/// relative to the block's first row, where both factors have exponents of at most zero; the block itself goes
/// directly.
inline constexpr std::int64_t kDecayBlock = 16;

/// A chunk of n tokens of one head. `rows` [2n, dim]: the keys k, and below them the queries q. L [n, width]: the sum
/// of the logarithms of decay up to and with each token; width is 1 (one decay for all channels) or dim.
struct DecayedRows {
  std::int64_t n, dim, width;
  const float *rows, *L;
};

/// pairs [2n, n]: Σ_c k_ic·k_jc·exp(L_ic - L_jc) for j < i, below them Σ_c q_ic·k_jc·exp(L_ic - L_jc) for j ≤ i, all
/// else 0.
void decayed_pairs(const DecayedRows& x, float* pairs);

/// With the gradient of `pairs`, of which what stands above is read as 0 (it may be written over): adds to d_rows
/// [2n, dim] what comes by a pair's first factor (i, whose L has the sign plus), to d_keys [n, dim] what comes by the
/// second (j).
void decayed_pairs_backward(const DecayedRows& x, float* d_pairs, float* d_rows, float* d_keys);

/// out = x·exp(plus - minus) for a row of `dim` numbers; plus and minus have `width` numbers (1 or dim), minus may be
/// null for 0. out may be x.
void times_decay(std::int64_t dim, std::int64_t width, const float* x, const float* plus, const float* minus,
                 float* out);
/// The same of two rows that have the decay in common.
void times_decay(std::int64_t dim, std::int64_t width, const float* k, const float* q, const float* plus,
                 const float* minus, float* k_out, float* q_out);

}  // namespace qad::kernels
