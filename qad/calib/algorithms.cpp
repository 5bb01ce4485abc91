#include "qad/calib/algorithms.h"

#include <algorithm>
#include <array>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "qad/formats/block_scales.h"

namespace qad {
namespace {

// ModelOpt calls it mse too; weights alone, since the blocks of an input are new in every forward.
void search_weight_scales(QuantizerSet& quantizers) {
  for (const LinearQuantizers& linear : quantizers.linears()) {
    throw_if_stopped();
    if (!linear.weights || !scales_can_be_searched(linear.weights->format())) continue;
    const Tensor& value = linear.weight->value();
    const Tensor floats = value.dtype() == DType::f32 ? value : value.to(DType::f32);
    linear.weights->set_block_scales(scales_of_least_error(linear.weights->format(), floats.data(), floats.rows(),
                                                           floats.cols(), linear.weights->scale().value()));
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
