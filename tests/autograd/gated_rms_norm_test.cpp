// RMSNorm with a gate: fast against definition in both places and with both functions, definition's backward against
// the complex step, and the op beside other users of what the gate is read from.
#include "autograd/ops/gated_rms_norm.h"

#include <gtest/gtest.h>

#include <limits>

#include "autograd/kernels/gated_rms_norm.h"
#include "autograd/ops/elementwise.h"
#include "autograd/reference/gated_rms_norm.h"
#include "tests/support/complex_step.h"
#include "tests/support/near.h"

namespace qad::testing {
namespace {

constexpr float kGatedEpsilon = 1e-5f;

// In every place and with every function, over sizes that fit no vector.
template <class Body>
void for_each_norm(Body&& body) {
  for (const bool silu : {false, true})
    for (const bool gate_first : {false, true})
      for (const auto& [rows, cols, group, weights] :
           {std::array<std::int64_t, 4>{1, 3, 3, 3}, {5, 12, 6, 12}, {70, 42, 21, 7}, {9, 96, 96, 16}, {3, 64, 16, 64}})
        body(reference::GatedNorm{rows, cols, group, weights, kGatedEpsilon, silu, gate_first});
}

Variable leaf(const std::vector<float>& values, const Shape& shape) {
  return Variable::leaf(Tensor::from(values, shape));
}

TEST(GatedRmsNorm, EqualsTheDefinition) {
  for_each_norm([](const reference::GatedNorm& n) {
    for (const double scale : {1e-3, 1.0, 30.0}) {
      const auto x = normal_floats(n.rows * n.cols, scale, 1), z = normal_floats(n.rows * n.cols, 2.0, 2);
      const auto weight = normal_floats(n.weights, 1.0, 3), dy = normal_floats(n.rows * n.cols, 1.0, 4);
      // The gate stands in the last columns of something wider.
      std::vector<float> wide(static_cast<std::size_t>(n.rows * (n.cols + 5)), 7.0f);
      for (std::int64_t i = 0; i < n.rows * n.cols; ++i)
        wide[static_cast<std::size_t>(i / n.cols * (n.cols + 5) + 5 + i % n.cols)] = z[static_cast<std::size_t>(i)];
      const Variable x_leaf = leaf(x, {n.rows, n.cols}), gate_leaf = leaf(wide, {n.rows, n.cols + 5});
      const Variable weight_leaf = leaf(weight, {n.weights});
      const Variable y = gated_rms_norm(x_leaf, Columns(gate_leaf, 5, n.cols + 5), weight_leaf,
                                        {.group = n.group,
                                         .epsilon = kGatedEpsilon,
                                         .function = n.silu ? GateFunction::silu : GateFunction::sigmoid,
                                         .place = n.gate_first ? GatePlace::before_norm : GatePlace::after_norm});
      // Another reader of the same matrix adds its gradient to it.
      const Variable both = add(y, arranged(gate_leaf, {{0, 2}, {5, n.cols + 3}}));
      const Tensor value = y.value();
      backward(both, Tensor::from(dy, {n.rows, n.cols}));

      Real y_expected(x.size()), inverse(x.size()), dx(x.size()), d_gate(x.size()), d_weight(weight.size());
      reference::gated_rms_norm_forward(n, doubles(x).data(), doubles(z).data(), doubles(weight).data(),
                                        y_expected.data(), inverse.data());
      reference::gated_rms_norm_backward(n, doubles(x).data(), doubles(z).data(), doubles(weight).data(),
                                         inverse.data(), doubles(dy).data(), dx.data(), d_gate.data(), d_weight.data());
      Real d_wide(wide.size());
      for (std::int64_t i = 0; i < n.rows * n.cols; ++i) {
        const std::int64_t row = i / n.cols, col = i % n.cols;
        d_wide[static_cast<std::size_t>(row * (n.cols + 5) + 5 + col)] += d_gate[static_cast<std::size_t>(i)];
        d_wide[static_cast<std::size_t>(row * (n.cols + 5) + (col < 2 ? col : col + 3))] +=
            static_cast<double>(dy[static_cast<std::size_t>(i)]);
      }
      expect_near("y", value.span(), y_expected, 2e-6);
      expect_near("dx", x_leaf.sink()->gradient().span(), dx, 5e-6);
      expect_near("d_gate", gate_leaf.sink()->gradient().span(), d_wide, 5e-6);
      expect_near("d_weight", weight_leaf.sink()->gradient().span(), d_weight, 5e-6);
    }
  });
}

TEST(ReferenceGatedRmsNorm, BackwardEqualsComplexStep) {
  for_each_norm([](const reference::GatedNorm& n) {
    if (n.rows > 5) return;
    const auto x = normal_doubles(n.rows * n.cols, 1.0, 1), gate = normal_doubles(n.rows * n.cols, 2.0, 2);
    const auto weight = normal_doubles(n.weights, 1.0, 3), dy = normal_doubles(n.rows * n.cols, 1.0, 4);
    const auto loss = [&](const Imaginary& x_point, const Imaginary& gate_point, const Imaginary& weight_point) {
      Imaginary y(x.size()), inverse(x.size());
      reference::gated_rms_norm_forward(n, x_point.data(), gate_point.data(), weight_point.data(), y.data(),
                                        inverse.data());
      return weighted_sum(dy, y);
    };
    const Imaginary xs(x.begin(), x.end()), gates(gate.begin(), gate.end()), weights(weight.begin(), weight.end());
    Real y(x.size()), inverse(x.size()), dx(x.size()), d_gate(x.size()), d_weight(weight.size());
    reference::gated_rms_norm_forward(n, x.data(), gate.data(), weight.data(), y.data(), inverse.data());
    reference::gated_rms_norm_backward(n, x.data(), gate.data(), weight.data(), inverse.data(), dy.data(), dx.data(),
                                       d_gate.data(), d_weight.data());
    expect_gradient("dx", dx, complex_step_gradient(x, [&](const Imaginary& p) { return loss(p, gates, weights); }));
    expect_gradient("d_gate", d_gate,
                    complex_step_gradient(gate, [&](const Imaginary& p) { return loss(xs, p, weights); }));
    expect_gradient("d_weight", d_weight,
                    complex_step_gradient(weight, [&](const Imaginary& p) { return loss(xs, gates, p); }));
  });
}

TEST(GatedRmsNorm, SameBitsAtAnyThreadCount) {
  const kernels::GatedNormShape shape{300, 130, 65, 26, kGatedEpsilon, true, true, 130};
  const auto x = normal_floats(300 * 130, 1.0, 1), gate = normal_floats(300 * 130, 1.0, 2);
  const auto weight = normal_floats(26, 1.0, 3), dy = normal_floats(300 * 130, 1.0, 4);
  expect_same_at_any_thread_count("gated_rms_norm", [&] {
    std::vector<float> out(3 * x.size() + 600 + 26);
    float *y = out.data(), *dx = y + x.size(), *d_gate = dx + x.size(), *inverse = d_gate + x.size();
    kernels::gated_rms_norm_forward(shape, x.data(), gate.data(), weight.data(), y, inverse);
    kernels::gated_rms_norm_backward(shape, x.data(), gate.data(), weight.data(), inverse, dy.data(), dx, d_gate,
                                     inverse + 600);
    return out;
  });
}

TEST(GatedRmsNorm, ShowsWhatIsNoNumber) {
  std::vector<float> x(8, 1.0f), gate(8, 1.0f);
  gate[3] = std::numeric_limits<float>::quiet_NaN();
  const Tensor weight = Tensor::full({4}, 1.0f);
  for (const GatePlace place : {GatePlace::before_norm, GatePlace::after_norm}) {
    const Variable y = gated_rms_norm(Variable(Tensor::from(x, {2, 4})), Variable(Tensor::from(gate, {2, 4})),
                                      Variable(weight), {.group = 4, .place = place});
    EXPECT_TRUE(std::isnan(y.value().data()[3]));
    EXPECT_FALSE(std::isnan(y.value().data()[4]));
  }
}

}  // namespace
}  // namespace qad::testing
