// Ways of finding scales, a row each: all of them watch some text first (calibrate.h), whole or a block at a time
// (by_block.h).
#pragma once

#include <span>

#include "qad/calib/by_block.h"
#include "qad/calib/calibrate_config.h"
#include "qad/quant/attach.h"

namespace qad {

struct CalibrationAlgorithm {
  CalibrationKind kind;
  /// What is done once tensor scales are found, for the linear layers whose rule names this one; null: nothing.
  /// `show_inputs` is empty unless by_block.
  void (*find_scales)(std::span<const LinearQuantizers* const> linears, const ShowInputs& show_inputs,
                      const CalibrateConfig& config) = nullptr;
  /// Whether a layer must see what the blocks before it give when they are quantized.
  bool by_block = false;
  /// Whether weights are others afterwards.
  bool moves_weights = false;
  /// Whether there is anything to find for weights in this format; null: in any.
  bool (*serves)(const BlockFormat&) = nullptr;
};
[[nodiscard]] const CalibrationAlgorithm& calibration_algorithm(CalibrationKind kind);

/// Whether a layer's algorithm asks for the whole calibration to go by blocks.
[[nodiscard]] bool works_by_block(const QuantizerSet& quantizers);

/// As one of those that need no other.
void find_fixed_scales(FixedScales scales, std::span<const LinearQuantizers* const> linears,
                       const ShowInputs& show_inputs, const CalibrateConfig& config);

/// Each layer's by its own algorithm.
void find_scales(const QuantizerSet& quantizers, const ShowInputs& show_inputs, const CalibrateConfig& config);

}  // namespace qad
