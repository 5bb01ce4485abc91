// Derivatives by the complex step: for an analytic f, df/dx = Im f(x + i·h) / h, exact to rounding because nothing is
// subtracted (Squire and Trapp, 1998). It proves the backward of the reference kernels.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace qad::testing {

using Complex = std::complex<double>;
using Real = std::vector<double>;
using Imaginary = std::vector<Complex>;

/// The gradient of f, a scalar function of the vector x.
inline Real complex_step_gradient(const Real& x, const std::function<Complex(const Imaginary&)>& f) {
  constexpr double kStep = 1e-40;
  Imaginary point(x.begin(), x.end());
  Real gradient(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    point[i] = Complex(x[i], kStep);
    gradient[i] = f(point).imag() / kStep;
    point[i] = x[i];
  }
  return gradient;
}

/// Σ weights·outputs: the scalar through which a vector function is differentiated; its gradient with respect to the
/// outputs is `weights`.
inline Complex weighted_sum(const Real& weights, const Imaginary& outputs) {
  Complex sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) sum += weights[i] * outputs[i];
  return sum;
}

/// Every element agrees to `tolerance` of the largest element.
inline void expect_gradient(const std::string& what, const Real& backward, const Real& complex_step,
                            double tolerance = 1e-12) {
  ASSERT_EQ(backward.size(), complex_step.size()) << what;
  double largest = 0;
  for (const double value : complex_step) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < backward.size(); ++i)
    ASSERT_LE(std::abs(backward[i] - complex_step[i]), tolerance * largest)
        << what << "[" << i << "]: backward " << backward[i] << ", complex step " << complex_step[i];
}

}  // namespace qad::testing
