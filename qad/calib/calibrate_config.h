// The recipe's `calibrate` section: which text the quantizers see before their scales are found, and how these are
// found.
#pragma once

#include <cstdint>
#include <optional>

#include "data/text/data_config.h"
#include "qad/quant/quant_config.h"

namespace qad {

enum class ColumnOrder : std::uint8_t {
  none,          ///< as they stand
  largest_first  ///< those that see the largest inputs first
};
inline constexpr auto enum_names(ColumnOrder) {
  return std::to_array<EnumName<ColumnOrder>>({{ColumnOrder::none, "none"}, {ColumnOrder::largest_first, "static"}});
}

enum class FixedScales : std::uint8_t { max, mse, local_hessian };
inline constexpr auto enum_names(FixedScales) {
  return std::to_array<EnumName<FixedScales>>(
      {{FixedScales::max, "max"}, {FixedScales::mse, "mse"}, {FixedScales::local_hessian, "local_hessian"}});
}

struct GptqConfig {
  FixedScales scales = FixedScales::mse;
  double damping = 0.01;
  std::int64_t block_size = 128;
  ColumnOrder order = ColumnOrder::none;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"scales", "how the block scales are found that gptq rounds under: max, mse or local_hessian"}, scales);
    visit(Field{"damping", "added to the diagonal of the inputs' second moments, as a share of its mean"}.between(0, 1),
          damping);
    visit(Field{"block_size", "columns whose errors go on to those behind them together"}.at_least(1), block_size);
    visit(Field{"order", "of the columns: none, as they stand; static: those with the largest inputs first"}, order);
  }
};

struct SmoothingConfig {
  double strength = 0.5;
  std::int64_t grid = 20;
  FixedScales scales = FixedScales::local_hessian;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"strength", "of smoothquant: 0 leaves all to the weights' magnitudes, 1 to the inputs'"}.between(0, 1),
          strength);
    visit(Field{"grid", "of awq: what is tried, no factors and strengths from 0 to 1"}.between(3, 1000), grid);
    visit(Field{"scales", "how block scales are found after that: max, mse or local_hessian"}, scales);
  }
};

struct CalibrateConfig {
  std::optional<MixtureConfig> source;
  std::int64_t tokens = 16384;
  std::int64_t seed = 1;
  CalibrationKind algorithm = CalibrationKind::max;
  GptqConfig gptq;
  SmoothingConfig smoothing;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"source", "text to calibrate on (default: the training text)"}, source);
    visit(Field{"tokens", "tokens to calibrate on, rounded up to whole sequences"}.at_least(1), tokens);
    visit(Field{"seed", "of the choice of sequences"}.at_least(0), seed);
    visit(
        Field{"algorithm",
              "max: block scales follow the largest magnitude; mse: those of weights are searched once for the least "
              "squared error, and kept; local_hessian: for the least error of the layer's outputs; gptq: weights move "
              "too, so that each column makes up for the rounding of those before it; awq, smoothquant: factors go "
              "from inputs into "
              "weights first; a rule may say another"},
        algorithm);
    visit(Field{"gptq", "options of algorithm gptq"}, gptq);
    visit(Field{"smoothing", "options of algorithms awq and smoothquant"}, smoothing);
  }
};

}  // namespace qad
