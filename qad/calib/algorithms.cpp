#include "qad/calib/algorithms.h"

#include <algorithm>
#include <array>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "qad/calib/gptq.h"
#include "qad/calib/local_hessian.h"
#include "qad/formats/block_scales.h"

namespace qad {
namespace {

// ModelOpt calls it mse too; weights alone, since the blocks of an input are new in every forward.
void search_weight_scales(std::span<const LinearQuantizers* const> linears, const ShowInputs& /*show_inputs*/,
                          const CalibrateConfig& /*config*/) {
  for (const LinearQuantizers* linear : linears) {
    throw_if_stopped();
    linear->weights->search_block_scales(linear->weight->value());
  }
}

// smooth() came before, since it changes tensor scales too.
void find_after_smoothing(std::span<const LinearQuantizers* const> linears, const ShowInputs& show_inputs,
                          const CalibrateConfig& config) {
  find_fixed_scales(config.smoothing.scales, linears, show_inputs, config);
}

bool has_block_scales(const BlockFormat& format) { return format.scale != nullptr; }

constexpr std::array<CalibrationAlgorithm, 6> kAlgorithms = {{
    {.kind = CalibrationKind::max},
    {.kind = CalibrationKind::mse, .find_scales = search_weight_scales, .serves = scales_can_be_searched},
    {.kind = CalibrationKind::local_hessian,
     .find_scales = find_scales_by_outputs,
     .by_block = true,
     .serves = scales_can_be_searched},
    {.kind = CalibrationKind::gptq,
     .find_scales = compensate_errors,
     .by_block = true,
     .moves_weights = true,
     .serves = has_block_scales},
    {.kind = CalibrationKind::awq,
     .find_scales = find_after_smoothing,
     .by_block = true,
     .moves_weights = true,
     .serves = scales_can_be_searched},
    {.kind = CalibrationKind::smoothquant,
     .find_scales = find_after_smoothing,
     .by_block = true,
     .moves_weights = true,
     .serves = scales_can_be_searched},
}};

}  // namespace

void find_fixed_scales(FixedScales scales, std::span<const LinearQuantizers* const> linears,
                       const ShowInputs& show_inputs, const CalibrateConfig& config) {
  switch (scales) {
    case FixedScales::max: return;
    case FixedScales::mse: return search_weight_scales(linears, show_inputs, config);
    case FixedScales::local_hessian: return find_scales_by_outputs(linears, show_inputs, config);
  }
}

const CalibrationAlgorithm& calibration_algorithm(CalibrationKind kind) {
  const auto* const found = std::ranges::find(kAlgorithms, kind, &CalibrationAlgorithm::kind);
  QAD_ASSERT(found != kAlgorithms.end());
  return *found;
}

bool works_by_block(const QuantizerSet& quantizers) {
  return std::ranges::any_of(quantizers.linears(), [](const LinearQuantizers& linear) {
    return linear.weights != nullptr && calibration_algorithm(linear.algorithm).by_block;
  });
}

void find_scales(const QuantizerSet& quantizers, const ShowInputs& show_inputs, const CalibrateConfig& config) {
  for (const CalibrationAlgorithm& algorithm : kAlgorithms) {
    std::vector<const LinearQuantizers*> linears;
    for (const LinearQuantizers& linear : quantizers.linears())
      if (linear.weights != nullptr && linear.algorithm == algorithm.kind) linears.push_back(&linear);
    if (algorithm.find_scales != nullptr && !linears.empty()) algorithm.find_scales(linears, show_inputs, config);
  }
  for (const LinearQuantizers& linear : quantizers.linears())
    if (linear.weights != nullptr) linear.weights->settle_scales(linear.weight->value());
}

}  // namespace qad
