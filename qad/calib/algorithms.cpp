#include "qad/calib/algorithms.h"

#include <algorithm>
#include <array>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"

namespace qad {
namespace {

// ModelOpt calls it mse too; weights alone, since the blocks of an input are new in every forward.
void search_weight_scales(QuantizerSet& quantizers) {
  for (const LinearQuantizers& linear : quantizers.linears()) {
    throw_if_stopped();
    if (linear.weights) linear.weights->search_block_scales(linear.weight->value());
  }
}

constexpr std::array<CalibrationAlgorithm, 2> kAlgorithms = {{
    {CalibrationKind::max, nullptr},
    {CalibrationKind::mse, search_weight_scales},
}};

}  // namespace

const CalibrationAlgorithm& calibration_algorithm(CalibrationKind kind) {
  const auto* const found = std::ranges::find(kAlgorithms, kind, &CalibrationAlgorithm::kind);
  QAD_ASSERT(found != kAlgorithms.end());
  return *found;
}

}  // namespace qad
