// The distance of rows: its value by the definition in double, its gradient by the complex step of that.
#include "autograd/ops/row_distance.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/complex_step.h"
#include "tests/support/near.h"

namespace qad::testing {
namespace {

constexpr std::int64_t kRows = 37, kCols = 9;

template <class T>
T by_definition(const std::vector<T>& x, const Real& y, const std::vector<float>& weights) {
  T loss(0);
  for (std::size_t t = 0; t < weights.size(); ++t) {
    T distance(0);
    double length = 0;
    for (std::size_t i = t * kCols; i < (t + 1) * kCols; ++i) {
      distance += (x[i] - y[i]) * (x[i] - y[i]);
      length += y[i] * y[i];
    }
    if (length > 0) loss += static_cast<double>(weights[t]) * distance / length;
  }
  return loss;
}

TEST(RowDistance, AndItsGradientAreTheDefinitions) {
  const std::vector<float> x = normal_floats(kRows * kCols, 1, 1);
  std::vector<float> y = normal_floats(kRows * kCols, 2, 2), weights = normal_floats(kRows, 1, 3);
  weights[4] = 0;
  std::fill_n(y.begin() + 7 * kCols, kCols, 0.0f);
  const auto run = [&] {
    const Variable leaf = Variable::leaf(Tensor::from(x, {kRows, kCols}));
    const Variable loss = row_distance(leaf, Tensor::from(y, {kRows, kCols}), weights);
    backward(loss, Tensor::full({1}, 3.0f));
    const auto gradient = leaf.sink()->gradient().span();
    std::vector<float> all(gradient.begin(), gradient.end());
    all.push_back(loss.value().item());
    return all;
  };
  std::vector<float> all = run();
  EXPECT_NEAR(all.back(), by_definition(doubles(x), doubles(y), weights), 1e-5);
  all.pop_back();
  const Real expected = complex_step_gradient(
      doubles(x), [&](const Imaginary& point) { return 3.0 * by_definition(point, doubles(y), weights); });
  expect_near("dx", all, expected, 1e-6);
  expect_same_at_any_thread_count("row distance", run);
}

}  // namespace
}  // namespace qad::testing
