// The recipe's `search` section: number formats are chosen by group of layers, under a budget of bits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "autograd/base/fields.h"
#include "qad/quant/quant_config.h"

namespace qad {

/// What a group of layers may be in.
struct SearchCandidate {
  std::string weights = "none";
  std::string inputs = "none";
  std::optional<CalibrationKind> algorithm{};

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"weights", "number format of the weights, or none: 16 bits"}, weights);
    visit(Field{"inputs", "number format of the layers' inputs, or none"}, inputs);
    visit(Field{"algorithm", "as calibrate.algorithm, which counts where this says nothing"}, algorithm);
  }
};

/// What a group in a format is to cost in quality.
enum class SearchScore : std::uint8_t {
  kl,       ///< measured: one forward for each group and format
  gradient  ///< estimated: Σ (dloss/dy · (y quantized - y))² over the group's outputs y
};
inline constexpr auto enum_names(SearchScore) {
  return std::to_array<EnumName<SearchScore>>({{SearchScore::kl, "kl"}, {SearchScore::gradient, "gradient"}});
}

/// Which weights the budget counts.
enum class SearchCost : std::uint8_t {
  total,
  active  ///< of experts, the share that a token reads
};
inline constexpr auto enum_names(SearchCost) {
  return std::to_array<EnumName<SearchCost>>({{SearchCost::total, "total"}, {SearchCost::active, "active"}});
}

inline constexpr double kDenseBits = 16;  ///< of a weight in BF16

struct SearchConfig {
  double effective_bits = 0;
  std::vector<SearchCandidate> candidates = {{"nvfp4", "nvfp4", {}}, {"fp8", "fp8", {}}, {}};
  SearchScore score = SearchScore::kl;
  SearchCost cost = SearchCost::total;
  std::int64_t tokens = 16384;
  std::int64_t seed = 2;
  std::vector<double> curve;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"effective_bits",
                "the budget: bits a weight on average over the linear layers of all blocks, codes and every scale "
                "counted, kept layers too"}
              .above(0)
              .at_most(kDenseBits)
              .required(),
          effective_bits);
    visit(Field{"candidates", "formats to choose from; layers that quantize.rules match stay as these say"},
          candidates);
    visit(Field{"score",
                "kl: measured with one group quantized at a time; gradient: estimated, with one backward for all"},
          score);
    visit(Field{"cost", "total: every weight counts; active: of experts, the share that a token reads"}, cost);
    visit(Field{"tokens", "tokens of the calibration text to score on, rounded up to whole sequences"}.at_least(1),
          tokens);
    visit(Field{"seed", "of the choice of sequences"}.at_least(0), seed);
    visit(Field{"curve", "further budgets at which the held-out KL is measured, for the picture in the report"}
              .above(0)
              .at_most(kDenseBits),
          curve);
  }
};

}  // namespace qad
