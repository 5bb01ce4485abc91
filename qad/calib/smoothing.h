// AWQ and SmoothQuant: columns whose inputs are large are divided by a factor where the inputs come from, and their
// weights multiplied by it, so that what is hard to round in one operand goes over to the other. The factor goes into
// the elements of the norm or the rows of the linear layer before (LinearGroup::fed_by): no tensor is added.
//
// Sources: Lin et al., AWQ (2024), https://arxiv.org/abs/2306.00978; Xiao et al., SmoothQuant (2023),
// https://arxiv.org/abs/2211.10438; the grid and its normalisation as llm-compressor has them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "qad/calib/by_block.h"
#include "qad/calib/calibrate_config.h"

namespace qad {

/// Before tensor scales are found: folds factors into the groups of this block whose layers ask for it, one after the
/// other. Groups that nothing feeds, or whose feeder feeds others too, stay as they are and are told in a warning.
/// Whether any was changed.
bool smooth(std::span<LinearGroup* const> groups, const QuantizerSet& quantizers, const ShowInputs& show_inputs,
            const CalibrateConfig& config);

/// Magnitudes of the columns of a group.
struct ColumnMagnitudes {
  std::vector<double> inputs, weights;
};
/// s_k = inputs_k^strength / (weights_k^(1 - strength) + 1e-4), at least 1e-4, over √(max·min); 1 where that is not
/// finite.
[[nodiscard]] std::vector<float> awq_factors(const ColumnMagnitudes& columns, double strength);
/// s_k = inputs_k^strength / weights_k^(1 - strength); 1 where either is 0.
[[nodiscard]] std::vector<float> smoothquant_factors(const ColumnMagnitudes& columns, double strength);

/// AWQ's choice of `grid`: none at all (index 0), or the strength (index - 1)/(grid - 2) whose factors make the
/// outputs' squared error least, and the factors. `x` [T, K] in FP32; `weights` [N, K] each, which share a tensor
/// scale; `inputs` null: inputs stay as they are.
struct AwqChoice {
  std::int64_t index = 0;
  std::vector<float> factors;
  std::vector<double> errors;  ///< of all
};
[[nodiscard]] AwqChoice choose_awq(const Tensor& x, std::span<const Tensor> weights, const BlockFormat& format,
                                   const BlockFormat* inputs, std::int64_t grid);

}  // namespace qad
