// Elementwise kernels and reductions: fast against definition, SwiGLU's backward against the complex step.
#include <gtest/gtest.h>

#include <limits>

#include "autograd/kernels/elementwise.h"
#include "autograd/ops/elementwise.h"
#include "autograd/reference/elementwise.h"
#include "tests/support/complex_step.h"
#include "tests/support/near.h"

namespace qad::testing {
namespace {

constexpr std::int64_t kSizes[] = {1, 3, 16, 31, 1000, 50001};
constexpr double kScales[] = {1e-6, 1e-3, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 40.0, 200.0};

TEST(KernelsElementwise, SumsScalesAndBiases) {
  for (const std::int64_t size : kSizes) {
    const auto a = normal_floats(size, 1.0, 1), b = normal_floats(size, 1.0, 2);
    std::vector<float> out(a.size()), expected(a.size());
    kernels::add(size, a.data(), b.data(), out.data());
    reference::add(size, a.data(), b.data(), expected.data());
    expect_same_bits("add", out, expected);
    kernels::accumulate(size, a.data(), out.data());
    reference::accumulate(size, a.data(), expected.data());
    expect_same_bits("accumulate", out, expected);
  }
  for (const auto& [rows, cols] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {5, 3}, {200, 67}, {1000, 130}}) {
    auto x = normal_floats(rows * cols, 1.0, 1);
    auto x_expected = x;
    const auto bias = normal_floats(cols, 1.0, 2);
    kernels::add_bias(rows, cols, bias.data(), x.data());
    reference::add_bias(rows, cols, bias.data(), x_expected.data());
    expect_same_bits("add_bias", x, x_expected);
    auto sums = bias;
    auto sums_expected = doubles(sums);
    kernels::accumulate_column_sums(rows, cols, x.data(), sums.data());
    reference::accumulate_column_sums(rows, cols, doubles(x).data(), sums_expected.data());
    expect_near("accumulate_column_sums", sums, sums_expected, 1e-5);
  }
}

TEST(KernelsElementwise, SumOfSquares) {
  EXPECT_EQ(kernels::sum_of_squares(0, nullptr), 0.0);
  for (const std::int64_t size : kSizes)
    for (const double scale : kScales) {
      const auto x = normal_floats(size, scale, 1);
      const double expected = reference::sum_of_squares(size, doubles(x).data());
      EXPECT_NEAR(kernels::sum_of_squares(size, x.data()), expected, 1e-12 * expected);
    }
}

TEST(KernelsSwiGlu, EqualsTheDefinition) {
  for (const std::int64_t size : kSizes)
    for (const double scale : kScales) {
      const auto gate = normal_floats(size, scale, 1), up = normal_floats(size, 1.0, 2),
                 d = normal_floats(size, 1.0, 3);
      std::vector<float> out(gate.size()), d_gate(gate.size()), d_up(gate.size());
      Real out_expected(gate.size()), d_gate_expected(gate.size()), d_up_expected(gate.size());
      kernels::swiglu_forward(size, gate.data(), up.data(), out.data());
      kernels::swiglu_backward(size, gate.data(), up.data(), d.data(), d_gate.data(), d_up.data());
      reference::swiglu_forward(size, doubles(gate).data(), doubles(up).data(), out_expected.data());
      reference::swiglu_backward(size, doubles(gate).data(), doubles(up).data(), doubles(d).data(),
                                 d_gate_expected.data(), d_up_expected.data());
      expect_near("out", out, out_expected, 5e-7);
      expect_near("d_gate", d_gate, d_gate_expected, 5e-7);
      expect_near("d_up", d_up, d_up_expected, 5e-7);
    }
}

TEST(KernelsSwiGlu, KeepsNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), one = 1.0f;
  float out = 0.0f;
  kernels::swiglu_forward(1, &nan, &one, &out);
  EXPECT_TRUE(std::isnan(out));
}

TEST(ReferenceSwiGlu, BackwardEqualsComplexStep) {
  for (const std::int64_t size : {std::int64_t{1}, std::int64_t{7}})
    for (const double scale : kScales) {
      const auto gate = normal_doubles(size, scale, 1), up = normal_doubles(size, 1.0, 2),
                 d = normal_doubles(size, 1.0, 3);
      const auto loss = [&](const Imaginary& gate_point, const Imaginary& up_point) {
        Imaginary out(d.size());
        reference::swiglu_forward(size, gate_point.data(), up_point.data(), out.data());
        return weighted_sum(d, out);
      };
      const Imaginary fixed_gate(gate.begin(), gate.end()), fixed_up(up.begin(), up.end());
      Real d_gate(gate.size()), d_up(up.size());
      reference::swiglu_backward(size, gate.data(), up.data(), d.data(), d_gate.data(), d_up.data());
      expect_gradient("d_gate", d_gate,
                      complex_step_gradient(gate, [&](const Imaginary& x) { return loss(x, fixed_up); }));
      expect_gradient("d_up", d_up, complex_step_gradient(up, [&](const Imaginary& x) { return loss(fixed_gate, x); }));
    }
}

TEST(KernelsSquaredRelu, EqualsTheDefinition) {
  for (const std::int64_t size : kSizes)
    for (const double scale : kScales) {
      const auto x = normal_floats(size, scale, 1), d = normal_floats(size, 1.0, 2);
      std::vector<float> out(x.size()), dx(x.size());
      Real out_expected(x.size()), dx_expected(x.size());
      kernels::squared_relu_forward(size, x.data(), out.data());
      kernels::squared_relu_backward(size, x.data(), d.data(), dx.data());
      reference::squared_relu_forward(size, doubles(x).data(), out_expected.data());
      reference::squared_relu_backward(size, doubles(x).data(), doubles(d).data(), dx_expected.data());
      expect_near("out", out, out_expected, 5e-7);
      expect_near("dx", dx, dx_expected, 5e-7);
    }
}

TEST(KernelsSigmoidGate, EqualsTheDefinition) {
  for (const std::int64_t size : kSizes)
    for (const double scale : kScales) {
      const auto x = normal_floats(size, 1.0, 1), gate = normal_floats(size, scale, 2), d = normal_floats(size, 1.0, 3);
      std::vector<float> out(x.size()), dx(x.size()), d_gate(x.size());
      Real out_expected(x.size()), dx_expected(x.size()), d_gate_expected(x.size());
      kernels::sigmoid_gated_forward(size, x.data(), gate.data(), out.data());
      kernels::sigmoid_gated_backward(size, x.data(), gate.data(), d.data(), dx.data(), d_gate.data());
      reference::sigmoid_gated_forward(size, doubles(x).data(), doubles(gate).data(), out_expected.data());
      reference::sigmoid_gated_backward(size, doubles(x).data(), doubles(gate).data(), doubles(d).data(),
                                        dx_expected.data(), d_gate_expected.data());
      expect_near("out", out, out_expected, 5e-7);
      expect_near("dx", dx, dx_expected, 5e-7);
      // Where every gate is open, what is left of 1 - σ is rounding.
      if (scale < 20 || size > 100) expect_near("d_gate", d_gate, d_gate_expected, 2e-6);
    }
}

TEST(KernelsElementwise, KeepNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), one = 1.0f;
  float out[3] = {};
  kernels::squared_relu_forward(1, &nan, &out[0]);
  kernels::sigmoid_gated_forward(1, &nan, &one, &out[1]);
  kernels::sigmoid_gated_forward(1, &one, &nan, &out[2]);
  for (const float value : out) EXPECT_TRUE(std::isnan(value));
}

TEST(ReferenceElementwise, BackwardEqualsComplexStep) {
  const auto x = normal_doubles(9, 1.0, 1), gate = normal_doubles(9, 3.0, 2), d = normal_doubles(9, 1.0, 3);
  const Imaginary xs(x.begin(), x.end()), gates(gate.begin(), gate.end());
  const auto gated = [&](const Imaginary& x_point, const Imaginary& gate_point) {
    Imaginary out(d.size());
    reference::sigmoid_gated_forward(9, x_point.data(), gate_point.data(), out.data());
    return weighted_sum(d, out);
  };
  Real dx(9), d_gate(9), d_square(9);
  reference::sigmoid_gated_backward(9, x.data(), gate.data(), d.data(), dx.data(), d_gate.data());
  expect_gradient("dx", dx, complex_step_gradient(x, [&](const Imaginary& p) { return gated(p, gates); }));
  expect_gradient("d_gate", d_gate, complex_step_gradient(gate, [&](const Imaginary& p) { return gated(xs, p); }));
  reference::squared_relu_backward(9, x.data(), d.data(), d_square.data());
  expect_gradient("of squared ReLU", d_square, complex_step_gradient(x, [&](const Imaginary& p) {
                    Imaginary out(d.size());
                    reference::squared_relu_forward(9, p.data(), out.data());
                    return weighted_sum(d, out);
                  }));
}

// The ops: their gradients reach both inputs.
TEST(Elementwise, SquaredReluAndSigmoidGate) {
  const auto values = normal_floats(40, 1.0, 1), gates = normal_floats(40, 1.0, 2), d = normal_floats(40, 1.0, 3);
  const Variable x = Variable::leaf(Tensor::from(values, {4, 10})), gate = Variable::leaf(Tensor::from(gates, {4, 10}));
  const Variable y = sigmoid_gated(squared_relu(x), gate);
  const Tensor value = y.value();
  backward(y, Tensor::from(d, {4, 10}));
  Real square(40), out(40), d_square(40), dx(40), d_gate(40);
  reference::squared_relu_forward(40, doubles(values).data(), square.data());
  reference::sigmoid_gated_forward(40, square.data(), doubles(gates).data(), out.data());
  reference::sigmoid_gated_backward(40, square.data(), doubles(gates).data(), doubles(d).data(), d_square.data(),
                                    d_gate.data());
  reference::squared_relu_backward(40, doubles(values).data(), d_square.data(), dx.data());
  expect_near("y", value.span(), out, 1e-6);
  expect_near("dx", x.sink()->gradient().span(), dx, 1e-6);
  expect_near("d_gate", gate.sink()->gradient().span(), d_gate, 1e-6);
}

TEST(KernelsElementwise, SameBitsAtAnyThreadCount) {
  const std::int64_t rows = 1003, cols = 131, size = rows * cols;
  const auto a = normal_floats(size, 1.0, 1), b = normal_floats(size, 1.0, 2), d = normal_floats(size, 1.0, 3);
  expect_same_at_any_thread_count("swiglu", [&] {
    std::vector<float> out(3 * a.size());
    kernels::swiglu_forward(size, a.data(), b.data(), out.data());
    kernels::swiglu_backward(size, a.data(), b.data(), d.data(), out.data() + size, out.data() + 2 * size);
    return out;
  });
  expect_same_at_any_thread_count("accumulate_column_sums", [&] {
    std::vector<float> out(static_cast<std::size_t>(cols));
    kernels::accumulate_column_sums(rows, cols, a.data(), out.data());
    return out;
  });
  expect_same_at_any_thread_count("sum_of_squares",
                                  [&] { return std::vector{kernels::sum_of_squares(size, a.data())}; });
  expect_same_at_any_thread_count("add, add_bias", [&] {
    auto out = a;
    kernels::add(size, a.data(), b.data(), out.data());
    kernels::add_bias(rows, cols, b.data(), out.data());
    return out;
  });
}

}  // namespace
}  // namespace qad::testing
