// Two linear layers that read one quantized input, calibrated on it.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "autograd/nn/linear.h"
#include "qad/quant/packed_tensor.h"
#include "qad/quant/quantizer.h"
#include "tests/support/near.h"

namespace qad::testing {

struct QuantizedGroup {
  static constexpr std::int64_t kTokens = 70, kIn = 96;
  static constexpr std::array<std::int64_t, 2> kOuts = {130, 24};

  QuantizedGroup(const char* input_format, const char* weight_format, TensorScaleRound round) {
    const Tensor x = Tensor::from(normal_floats(kTokens * kIn, 1.0, 1), {kTokens, kIn});
    input = Variable::leaf(x);
    const auto scale = std::make_shared<TensorScale>("input", block_format(input_format), round);
    inputs = std::make_shared<ActivationQuantizer>("input", scale, StraightThrough::identity);
    static_cast<void>(inputs->apply(x, 0));
    scale->end_observing(TensorScaleSource::calibration);
    inputs->set_observing(false);
    group.name = "group";
    group.input_slot = inputs;
    for (const std::int64_t out : kOuts) {
      const auto weight = make_parameter("weight", Tensor::from(normal_floats(out * kIn, 0.1, 7), {out, kIn}), true);
      const auto weight_scale = std::make_shared<TensorScale>("weight", block_format(weight_format), round);
      weight_scale->add_weight(weight);
      weight_scale->end_observing(TensorScaleSource::calibration);
      const auto quantizer = std::make_shared<WeightQuantizer>("weight", weight_scale, StraightThrough::identity);
      quantizer->set_observing(false);
      weight->slot = quantizer;
      group.members.push_back({"layer", weight, nullptr});
    }
  }

  /// The input's values in FP32.
  [[nodiscard]] Tensor values() const { return inputs->apply(input.value(), 0).value; }
  [[nodiscard]] QuantizedTensor input_codes() const {
    return dynamic_cast<const PackedTensor&>(*inputs->apply(input.value(), 0).operand).tensor();
  }
  [[nodiscard]] QuantizedTensor codes(const Linear& member) const {
    return dynamic_cast<const PackedTensor&>(member.weight->operand().values()).tensor();
  }
  [[nodiscard]] std::vector<std::shared_ptr<const Operand>> readers() const {
    std::vector<std::shared_ptr<const Operand>> readers;
    for (const Linear& member : group.members) readers.push_back(member.weight->operand().result.operand);
    return readers;
  }

  Variable input;
  std::shared_ptr<ActivationQuantizer> inputs;
  LinearGroup group;
};

}  // namespace qad::testing
