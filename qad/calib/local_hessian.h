// Block scales of weights by the error that they make in the layer's outputs: each block as if it alone were rounded,
// by the second moments of what it multiplies (block_scales.h).
#pragma once

#include <span>

#include "qad/calib/by_block.h"
#include "qad/calib/calibrate_config.h"

namespace qad {

/// Layers that fewer tokens reach than a block has columns (experts) get the scales of the least squared error of their
/// weights, and are told in a warning.
void find_scales_by_outputs(std::span<const LinearQuantizers* const> linears, const ShowInputs& show_inputs,
                            const CalibrateConfig& config);

}  // namespace qad
