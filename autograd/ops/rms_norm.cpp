#include "autograd/ops/rms_norm.h"

#include "autograd/base/error.h"
#include "autograd/kernels/table.h"

namespace qad {

namespace {

Tensor factors_of(const ParameterOperand& weight, float offset) {
  Tensor values = weight.values().expand();
  if (offset == 0.0f) return values;
  const Tensor factors(values.shape());
  for (std::int64_t c = 0; c < factors.size(); ++c) factors.data()[c] = values.data()[c] + offset;
  return factors;
}

}  // namespace

Variable rms_norm(const Variable& x, const ParameterOperand& weight, float epsilon, float offset) {
  const std::int64_t cols = weight.shape().size();
  const std::int64_t rows = x.value().size() / cols;
  QAD_ASSERT(rows * cols == x.value().size());
  const Tensor weight_f32 = factors_of(weight, offset);
  Tensor y(x.shape());
  const Tensor inverse_rms({rows});
  kernel_table(y.device())
      .rms_norm_forward(rows, cols, epsilon, x.value().data(), weight_f32.data(), y.data(), inverse_rms.data());
  return record("rms_norm", std::move(y), {x, weight.parameter},
                [x_sink = x.sink(), x = x.value(), weight, weight_f32, inverse_rms, rows, cols](const Tensor& dy) {
                  Tensor dx = dy.reusable();
                  const auto run = [&](float* d_weight) {
                    kernel_table(dy.device())
                        .rms_norm_backward(rows, cols, x.data(), weight_f32.data(), inverse_rms.data(), dy.data(),
                                           dx.data(), d_weight);
                  };
                  if (weight.needs_gradient())
                    weight.accumulate_gradient([&](const Tensor& d_weight) { run(d_weight.data()); });
                  else run(nullptr);
                  if (x_sink != nullptr) x_sink->give(std::move(dx));
                });
}

}  // namespace qad
