// Elementwise kernels and reductions: fast against definition, SwiGLU's backward against the complex step.
#include <gtest/gtest.h>

#include <limits>

#include "autograd/kernels/elementwise.h"
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
