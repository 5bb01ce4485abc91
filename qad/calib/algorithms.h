// Ways of finding scales, a row each: all of them watch some text first (calibrate.h).
#pragma once

#include "qad/calib/calibrate_config.h"
#include "qad/quant/attach.h"

namespace qad {

struct CalibrationAlgorithm {
  CalibrationKind kind;
  /// What is done once tensor scales are found; null: nothing.
  void (*find_scales)(QuantizerSet& quantizers);
};
[[nodiscard]] const CalibrationAlgorithm& calibration_algorithm(CalibrationKind kind);

}  // namespace qad
