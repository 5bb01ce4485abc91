// The short convolution: fast against definition by sequence, definition's backward against the complex step, and what
// decoding remembers.
#include "autograd/ops/causal_convolution.h"

#include <gtest/gtest.h>

#include <limits>

#include "autograd/reference/causal_convolution.h"
#include "tests/support/complex_step.h"
#include "tests/support/near.h"

namespace qad::testing {
namespace {

SequenceParts consecutive_parts(const std::vector<std::int64_t>& lengths) {
  std::vector<SequencePart> parts;
  std::int64_t begin = 0;
  for (const std::int64_t length : lengths) {
    parts.push_back({begin, begin + length, static_cast<std::int64_t>(parts.size()), 0});
    begin += length;
  }
  return std::make_shared<const std::vector<SequencePart>>(std::move(parts));
}
SequenceParts one_part(std::int64_t length, std::int64_t slot, std::int64_t cached) {
  return std::make_shared<const std::vector<SequencePart>>(1, SequencePart{0, length, slot, cached});
}

std::vector<float> floats_of(const Tensor& x) { return {x.span().begin(), x.span().end()}; }

struct ConvolutionGradients {
  std::vector<float> y, dx, d_weight, d_bias;
};

// x in the columns from the third on.
ConvolutionGradients run_convolution(const std::vector<std::int64_t>& lengths, std::int64_t rows, std::int64_t channels,
                                     std::int64_t taps, bool with_bias, std::uint64_t stream) {
  const Variable x =
      Variable::leaf(Tensor::from(normal_floats(rows * (channels + 3), 1.0, stream), {rows, channels + 3}));
  const Variable weight = Variable::leaf(Tensor::from(normal_floats(channels * taps, 1.0, 2), {channels, 1, taps}));
  const Variable bias = Variable::leaf(Tensor::from(normal_floats(channels, 1.0, 3), {channels}));
  const Variable y =
      causal_convolution(Columns(x, 3, channels + 3), weight, with_bias ? ParameterOperand(bias) : ParameterOperand(),
                         consecutive_parts(lengths), nullptr);
  const Tensor value = y.value();
  backward(y, Tensor::from(normal_floats(rows * channels, 1.0, 4), {rows, channels}));
  return {floats_of(value), floats_of(x.sink()->gradient()), floats_of(weight.sink()->gradient()),
          with_bias ? floats_of(bias.sink()->gradient()) : std::vector<float>()};
}

TEST(CausalConvolution, EqualsTheDefinition) {
  for (const std::vector<std::int64_t>& lengths :
       {std::vector<std::int64_t>{1}, {2, 1, 3}, {63, 1, 64, 65}, {130}, {5, 200}})
    for (const std::int64_t channels : {1, 7, 16, 50})
      for (const std::int64_t taps : {1, 2, 4})
        for (const bool with_bias : {false, true}) {
          std::int64_t rows = 0;
          for (const std::int64_t length : lengths) rows += length;
          const ConvolutionGradients fast = run_convolution(lengths, rows, channels, taps, with_bias, 1);
          const auto wide = normal_doubles(rows * (channels + 3), 1.0, 1), dy = normal_doubles(rows * channels, 1.0, 4);
          const auto weight = normal_doubles(channels * taps, 1.0, 2), bias = normal_doubles(channels, 1.0, 3);
          Real x, dx_expected(wide.size()), d_weight(weight.size()), d_bias(bias.size());
          for (std::size_t i = 0; i < wide.size(); ++i)
            if (i % static_cast<std::size_t>(channels + 3) >= 3) x.push_back(wide[i]);
          Real z(x.size()), y(x.size()), dx(x.size());
          std::int64_t begin = 0;
          for (const std::int64_t length : lengths) {
            const std::int64_t at = begin * channels;
            reference::causal_convolution_forward(length, channels, taps, x.data() + at, weight.data(),
                                                  with_bias ? bias.data() : nullptr, z.data() + at, y.data() + at);
            reference::causal_convolution_backward(length, channels, taps, x.data() + at, weight.data(), z.data() + at,
                                                   dy.data() + at, dx.data() + at, d_weight.data(), d_bias.data());
            begin += length;
          }
          for (std::size_t i = 0, at = 0; i < wide.size(); ++i)
            if (i % static_cast<std::size_t>(channels + 3) >= 3) dx_expected[i] = dx[at++];
          expect_near("y", fast.y, y, 2e-6);
          expect_near("dx", fast.dx, dx_expected, 2e-6);
          expect_near("d_weight", fast.d_weight, d_weight, 3e-6);
          if (with_bias) expect_near("d_bias", fast.d_bias, d_bias, 3e-6);
        }
}

TEST(ReferenceCausalConvolution, BackwardEqualsComplexStep) {
  constexpr std::int64_t kRows = 6, kChannels = 3, kTaps = 4;
  const auto x = normal_doubles(kRows * kChannels, 1.0, 1), weight = normal_doubles(kChannels * kTaps, 1.0, 2);
  const auto bias = normal_doubles(kChannels, 1.0, 3), dy = normal_doubles(kRows * kChannels, 1.0, 4);
  const auto loss = [&](const Imaginary& xs, const Imaginary& weights, const Imaginary& biases) {
    Imaginary z(x.size()), y(x.size());
    reference::causal_convolution_forward(kRows, kChannels, kTaps, xs.data(), weights.data(), biases.data(), z.data(),
                                          y.data());
    return weighted_sum(dy, y);
  };
  const Imaginary xs(x.begin(), x.end()), weights(weight.begin(), weight.end()), biases(bias.begin(), bias.end());
  Real z(x.size()), y(x.size()), dx(x.size()), d_weight(weight.size()), d_bias(bias.size());
  reference::causal_convolution_forward(kRows, kChannels, kTaps, x.data(), weight.data(), bias.data(), z.data(),
                                        y.data());
  reference::causal_convolution_backward(kRows, kChannels, kTaps, x.data(), weight.data(), z.data(), dy.data(),
                                         dx.data(), d_weight.data(), d_bias.data());
  expect_gradient("dx", dx, complex_step_gradient(x, [&](const Imaginary& p) { return loss(p, weights, biases); }));
  expect_gradient("d_weight", d_weight,
                  complex_step_gradient(weight, [&](const Imaginary& p) { return loss(xs, p, biases); }));
  expect_gradient("d_bias", d_bias,
                  complex_step_gradient(bias, [&](const Imaginary& p) { return loss(xs, weights, p); }));
}

TEST(CausalConvolution, SameBitsAtAnyThreadCount) {
  expect_same_at_any_thread_count("causal_convolution", [] {
    ConvolutionGradients g = run_convolution({100, 3, 97}, 200, 50, 4, true, 1);
    for (const auto* more : {&g.dx, &g.d_weight, &g.d_bias}) g.y.insert(g.y.end(), more->begin(), more->end());
    return g.y;
  });
}

// However a sequence is cut, what was before is remembered, and the other slot is left alone.
TEST(CausalConvolution, GoesOnWhereItStopped) {
  constexpr std::int64_t kRows = 23, kChannels = 18;
  const NoGradScope no_grad;
  for (const std::int64_t taps : {1, 2, 4}) {
    const Tensor x = Tensor::from(normal_floats(kRows * kChannels, 1.0, 1), {kRows, kChannels});
    const Variable weight(Tensor::from(normal_floats(kChannels * taps, 1.0, 2), {kChannels, 1, taps}));
    const auto whole = floats_of(
        causal_convolution(Variable(x), weight, ParameterOperand(), consecutive_parts({kRows}), nullptr).value());
    for (const std::int64_t piece : {1, 2, 5, 22}) {
      const Tensor history = Tensor::full({2, taps - 1, kChannels}, 77.0f);
      std::vector<float> pieces;
      for (std::int64_t begin = 0; begin < kRows; begin += piece) {
        const std::int64_t end = std::min(kRows, begin + piece);
        const Variable y = causal_convolution(Variable(x.slice(begin, end)), weight, ParameterOperand(),
                                              one_part(end - begin, 1, begin), &history);
        pieces.insert(pieces.end(), y.value().span().begin(), y.value().span().end());
      }
      expect_same_bits("in pieces", pieces, whole);
      for (std::int64_t i = 0; i < (taps - 1) * kChannels; ++i) {
        EXPECT_EQ(history.data()[i], 77.0f);
        EXPECT_EQ(history.data()[(taps - 1) * kChannels + i], x.data()[(kRows - taps + 1) * kChannels + i]);
      }
    }
  }
}

TEST(CausalConvolution, ShowsWhatIsNoNumber) {
  std::vector<float> x(6, 1.0f);
  x[2] = std::numeric_limits<float>::quiet_NaN();
  const Variable y = causal_convolution(Variable(Tensor::from(x, {6, 1})), Variable(Tensor::full({1, 1, 2}, 1.0f)),
                                        ParameterOperand(), consecutive_parts({6}), nullptr);
  for (std::int64_t t = 0; t < 6; ++t) EXPECT_EQ(std::isnan(y.value().data()[t]), t == 2 || t == 3);
}

}  // namespace
}  // namespace qad::testing
