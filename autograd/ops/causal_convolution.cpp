#include "autograd/ops/causal_convolution.h"

#include "autograd/base/error.h"
#include "autograd/kernels/table.h"
#include "autograd/ops/sequence_rows.h"

namespace qad {

Variable causal_convolution(const Columns& x, const ParameterOperand& weight, const ParameterOperand& bias,
                            const SequenceParts& parts, const Tensor* history) {
  const std::int64_t rows = x.x.shape().rows(), channels = x.width();
  QAD_ASSERT(weight.shape().size() % channels == 0 && weight.shape().size() > 0);
  QAD_ASSERT(history == nullptr || !recording());
  const std::int64_t taps = weight.shape().size() / channels;
  const Tensor weights = weight.values().expand();
  const Tensor biases = bias.defined() ? bias.values().expand() : Tensor();
  const auto shape = [=, stride = x.stride()](const std::vector<kernels::SequenceRows>& sequences) {
    return kernels::ConvolutionShape{sequences, channels, taps, stride};
  };
  const auto bias_data = [](const Tensor& values) { return values.defined() ? values.data() : nullptr; };
  Tensor y({rows, channels});
  kernel_table(y.device())
      .causal_convolution_forward(shape(sequence_rows(*parts, rows, history)), x.data(), weights.data(),
                                  bias_data(biases), y.data());
  return record("causal_convolution", std::move(y), {x.x, weight.parameter, bias.parameter},
                [columns_gradient = ColumnsGradient(x), value = x.x.value(), begin = x.begin, weight, bias, weights,
                 biases, parts, rows, shape, bias_data](const Tensor& dy) {
                  const Tensor dz = dy.reusable();
                  float* const dx = columns_gradient.data();
                  const std::vector<kernels::SequenceRows> sequences = sequence_rows(*parts, rows, nullptr);
                  weight.accumulate_if_needed([&](float* d_weight) {
                    bias.accumulate_if_needed([&](float* d_bias) {
                      kernel_table(dy.device())
                          .causal_convolution_backward(shape(sequences), value.data() + begin, weights.data(),
                                                       bias_data(biases), dy.data(), dz.data(), dx, d_weight, d_bias);
                    });
                  });
                });
}

}  // namespace qad
