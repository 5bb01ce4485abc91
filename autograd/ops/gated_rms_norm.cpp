#include "autograd/ops/gated_rms_norm.h"

#include "autograd/base/error.h"
#include "autograd/kernels/table.h"

namespace qad {

Variable gated_rms_norm(const Variable& x, const Columns& gate, const ParameterOperand& weight,
                        const GatedNormRule& rule) {
  const std::int64_t cols = x.shape().cols(), rows = x.shape().rows(), weights = weight.shape().size();
  QAD_ASSERT(rule.group > 0 && cols % rule.group == 0 && weights > 0 && cols % weights == 0);
  QAD_ASSERT(gate.x.shape().rows() == rows && gate.width() == cols);
  const kernels::GatedNormShape shape{
      .rows = rows,
      .cols = cols,
      .group = rule.group,
      .weights = weights,
      .epsilon = rule.epsilon,
      .silu = rule.function == GateFunction::silu,
      .gate_first = rule.place == GatePlace::before_norm,
      .gate_stride = gate.stride(),
  };
  const Tensor weight_f32 = weight.values().expand();
  Tensor y(x.shape());
  const Tensor inverse_rms({rows, cols / rule.group});
  kernel_table(y.device())
      .gated_rms_norm_forward(shape, x.value().data(), gate.data(), weight_f32.data(), y.data(), inverse_rms.data());
  return record("gated_rms_norm", std::move(y), {x, gate.x, weight.parameter},
                [x_sink = x.sink(), gate_gradient = ColumnsGradient(gate), x = x.value(), gate_value = gate.x.value(),
                 gate_begin = gate.begin, weight, weight_f32, inverse_rms, shape](const Tensor& dy) {
                  Tensor dx = dy.reusable();
                  float* const d_gate = gate_gradient.data();
                  weight.accumulate_if_needed([&](float* d_weight) {
                    kernel_table(dy.device())
                        .gated_rms_norm_backward(shape, x.data(), gate_value.data() + gate_begin, weight_f32.data(),
                                                 inverse_rms.data(), dy.data(), dx.data(), d_gate, d_weight);
                  });
                  if (x_sink != nullptr) x_sink->give(std::move(dx));
                });
}

}  // namespace qad
