// The recipe's `calibrate` section: which text the quantizers see before their scales are found, and how these are
// found.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "data/text/data_config.h"

namespace qad {

/// A row each in qad/calib/algorithms.cpp.
enum class CalibrationKind : std::uint8_t { max, mse };
inline constexpr auto enum_names(CalibrationKind) {
  return std::to_array<EnumName<CalibrationKind>>({{CalibrationKind::max, "max"}, {CalibrationKind::mse, "mse"}});
}

struct CalibrateConfig {
  std::optional<MixtureConfig> source;
  std::int64_t tokens = 16384;
  std::int64_t seed = 1;
  CalibrationKind algorithm = CalibrationKind::max;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"source", "text to calibrate on (default: the training text)"}, source);
    visit(Field{"tokens", "tokens to calibrate on, rounded up to whole sequences"}.at_least(1), tokens);
    visit(Field{"seed", "of the choice of sequences"}.at_least(0), seed);
    visit(Field{"algorithm",
                "max: block scales follow the largest magnitude; mse: those of weights are searched once for the least "
                "squared error, and kept"},
          algorithm);
  }
};

}  // namespace qad
