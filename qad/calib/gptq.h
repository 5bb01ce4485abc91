// GPTQ: weights are rounded column by column, and what the rounding of a column does to the outputs goes on to the
// columns that are still to come, in proportion to how their inputs go together (Frantar et al., 2023,
// https://arxiv.org/abs/2210.17323). Block scales are found first and stay. A weight's master becomes the value that it
// had when its turn came, so that rounding it under these scales gives GPTQ's codes, and training goes on from there.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "qad/calib/by_block.h"
#include "qad/calib/calibrate_config.h"

namespace qad {

void compensate_errors(std::span<const LinearQuantizers* const> linears, const ShowInputs& show_inputs,
                       const CalibrateConfig& config);

/// How errors of a column go on, for all layers that read the same inputs.
struct ErrorPaths {
  std::vector<std::int64_t> order;  ///< the columns, as they are taken
  std::vector<double> factor;       ///< inverse_factor (cholesky.h) of the moments in this order; empty: none goes on
  double damping = 0;               ///< that it took, as a share of the mean of the diagonal
};
/// `moments` [K, K]: sums of x·xᵀ, of which the lower triangle is read. Columns of inputs that are always 0 are rounded
/// to nearest. Where the damping asked for is not enough, ten times as much is tried, up to 1; then no error goes on.
[[nodiscard]] ErrorPaths error_paths(const Tensor& moments, const GptqConfig& config);

/// Moves w [rows, cols] so: `scales` has its format, tensor scale and block scales.
void compensate(const QuantizedTensor& scales, const ErrorPaths& paths, std::int64_t block_size, float* w);

}  // namespace qad
