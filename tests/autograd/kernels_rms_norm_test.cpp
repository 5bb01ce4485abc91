// RMSNorm: fast against definition, definition's backward against the complex step.
#include <gtest/gtest.h>

#include "autograd/kernels/rms_norm.h"
#include "autograd/reference/rms_norm.h"
#include "tests/support/complex_step.h"
#include "tests/support/near.h"

namespace qad::testing {
namespace {

constexpr double kNormScales[] = {1e-4, 1e-3, 1e-2, 0.1, 0.5, 1.0, 3.0, 10.0, 100.0, 1e4};
constexpr float kEpsilon = 1e-5f;

struct NormExtents {
  std::int64_t rows, cols;
};

TEST(KernelsRmsNorm, EqualsTheDefinition) {
  for (const auto [rows, cols] :
       {NormExtents{1, 1}, NormExtents{3, 7}, NormExtents{70, 16}, NormExtents{300, 130}, NormExtents{9, 1024}})
    for (const double scale : kNormScales) {
      const auto x = normal_floats(rows * cols, scale, 1), weight = normal_floats(cols, 1.0, 2);
      const auto dy = normal_floats(rows * cols, 1.0, 3);
      std::vector<float> y(x.size()), inverse_rms(static_cast<std::size_t>(rows)), dx(x.size()), d_weight(weight);
      kernels::rms_norm_forward(rows, cols, kEpsilon, x.data(), weight.data(), y.data(), inverse_rms.data());
      kernels::rms_norm_backward(rows, cols, x.data(), weight.data(), inverse_rms.data(), dy.data(), dx.data(),
                                 d_weight.data());
      Real y_expected(x.size()), inverse_expected(inverse_rms.size()), dx_expected(x.size());
      Real d_weight_expected = doubles(weight);
      reference::rms_norm_forward(rows, cols, kEpsilon, doubles(x).data(), doubles(weight).data(), y_expected.data(),
                                  inverse_expected.data());
      reference::rms_norm_backward(rows, cols, doubles(x).data(), doubles(weight).data(), inverse_expected.data(),
                                   doubles(dy).data(), dx_expected.data(), d_weight_expected.data());
      expect_near("y", y, y_expected, 1e-6);
      expect_near("inverse_rms", inverse_rms, inverse_expected, 1e-6);
      // A row of one element: dx is what ε leaves of a difference of equal terms.
      if (cols > 1) expect_near("dx", dx, dx_expected, 3e-6);
      expect_near("d_weight", d_weight, d_weight_expected, 3e-6);

      auto dx_alone = y;
      kernels::rms_norm_backward(rows, cols, x.data(), weight.data(), inverse_rms.data(), dy.data(), dx_alone.data(),
                                 nullptr);
      expect_same_bits("dx without d_weight", dx_alone, dx);
    }
}

TEST(ReferenceRmsNorm, BackwardEqualsComplexStep) {
  for (const NormExtents& e : {NormExtents{1, 2}, NormExtents{2, 5}, NormExtents{3, 8}})
    for (const double scale : kNormScales) {
      const std::int64_t rows = e.rows, cols = e.cols;  // not a structured binding: the lambda below captures them
      const auto x = normal_doubles(rows * cols, scale, 1), weight = normal_doubles(cols, 1.0, 2);
      const auto dy = normal_doubles(rows * cols, 1.0, 3);
      const auto loss = [&](const Imaginary& x_point, const Imaginary& weight_point) {
        Imaginary y(x.size()), inverse(static_cast<std::size_t>(rows));
        reference::rms_norm_forward(rows, cols, kEpsilon, x_point.data(), weight_point.data(), y.data(),
                                    inverse.data());
        return weighted_sum(dy, y);
      };
      const Imaginary fixed_x(x.begin(), x.end()), fixed_weight(weight.begin(), weight.end());
      Real y(x.size()), inverse(static_cast<std::size_t>(rows)), dx(x.size()), d_weight(weight.size());
      reference::rms_norm_forward(rows, cols, kEpsilon, x.data(), weight.data(), y.data(), inverse.data());
      reference::rms_norm_backward(rows, cols, x.data(), weight.data(), inverse.data(), dy.data(), dx.data(),
                                   d_weight.data());
      expect_gradient("dx", dx, complex_step_gradient(x, [&](const Imaginary& p) { return loss(p, fixed_weight); }),
                      cols > 2 ? 1e-12 : 1e-9);  // with two columns dx is a small rest of large terms
      expect_gradient("d_weight", d_weight,
                      complex_step_gradient(weight, [&](const Imaginary& p) { return loss(fixed_x, p); }));
    }
}

TEST(KernelsRmsNorm, SameBitsAtAnyThreadCount) {
  const std::int64_t rows = 777, cols = 131;
  const auto x = normal_floats(rows * cols, 1.0, 1), weight = normal_floats(cols, 1.0, 2);
  const auto dy = normal_floats(rows * cols, 1.0, 3);
  expect_same_at_any_thread_count("rms_norm", [&] {
    std::vector<float> out(2 * x.size() + static_cast<std::size_t>(rows + cols));
    float* inverse = out.data() + 2 * x.size();
    kernels::rms_norm_forward(rows, cols, kEpsilon, x.data(), weight.data(), out.data(), inverse);
    kernels::rms_norm_backward(rows, cols, x.data(), weight.data(), inverse, dy.data(), out.data() + x.size(),
                               inverse + rows);
    return out;
  });
}

}  // namespace
}  // namespace qad::testing
