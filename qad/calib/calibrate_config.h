// The recipe's `calibrate` section: which text the quantizers see before their scales are found, and how these are
// found.
#pragma once

#include <cstdint>
#include <optional>

#include "data/text/data_config.h"
#include "qad/quant/quant_config.h"

namespace qad {

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
                "squared error, and kept; a rule may say another"},
          algorithm);
  }
};

}  // namespace qad
