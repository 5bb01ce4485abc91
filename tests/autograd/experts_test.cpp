// The ops of a mixture of experts: what they say against their definition in double, their gradients against the
// complex step of it.
#include "autograd/ops/experts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "tests/support/complex_step.h"
#include "tests/support/near.h"

namespace qad::testing {
namespace {

constexpr std::int64_t kTokens = 7, kExperts = 5, kCols = 6;

// Σ over a token's experts of weight·(1 + expert)·x, times dy, in all: every expert is a factor.
template <class T>
T mixture(const std::vector<T>& scores, const std::vector<T>& x, const Real& dy, std::int64_t k, bool normalize) {
  T loss(0);
  for (std::int64_t t = 0; t < kTokens; ++t) {
    const T* row = scores.data() + t * kExperts;
    std::vector<T> p(static_cast<std::size_t>(kExperts));
    T sum(0);
    for (std::int64_t e = 0; e < kExperts; ++e) sum += p[static_cast<std::size_t>(e)] = std::exp(row[e]);
    std::vector<std::size_t> order(static_cast<std::size_t>(kExperts));
    std::iota(order.begin(), order.end(), 0u);
    std::ranges::stable_sort(order, [&](auto a, auto b) { return std::real(p[a]) > std::real(p[b]); });
    order.resize(static_cast<std::size_t>(k));
    T taken(0);
    for (const std::size_t e : order) taken += p[e] / sum;
    for (const std::size_t e : order)
      for (std::int64_t c = 0; c < kCols; ++c)
        loss += p[e] / sum / (normalize ? taken : T(1)) * static_cast<double>(1 + e) *
                x[static_cast<std::size_t>(t * kCols + c)] * dy[static_cast<std::size_t>(t * kCols + c)];
  }
  return loss;
}

Tensor floats_of(const Real& values, const Shape& shape) {
  const Tensor tensor(shape);
  std::ranges::transform(values, tensor.data(), [](double value) { return static_cast<float>(value); });
  return tensor;
}

// Multiplies by 1 + expert.
Variable scaled(const Variable& x, std::size_t expert) {
  const auto factor = static_cast<float>(1 + expert);
  Tensor out = x.value().clone();
  for (float& value : out.span()) value *= factor;
  return record("scaled", std::move(out), {x}, [sink = x.sink(), factor](const Tensor& d) {
    Tensor dx = d.clone();
    for (float& value : dx.span()) value *= factor;
    sink->give(std::move(dx));
  });
}

TEST(Experts, ValuesAndGradientsAreThoseOfTheDefinition) {
  for (const std::int64_t k : {1, 2, 5})
    for (const bool normalize : {false, true}) {
      const Real scores = normal_doubles(kTokens * kExperts, 1.5, 1), x = normal_doubles(kTokens * kCols, 1.0, 2);
      const Real dy = normal_doubles(kTokens * kCols, 1.0, 3);
      const Variable score_leaf = Variable::leaf(floats_of(scores, {kTokens, kExperts}));
      const Variable x_leaf = Variable::leaf(floats_of(x, {kTokens, kCols}));
      const Routing routing = route(score_leaf, k, normalize);
      const auto rows = rows_by_expert(routing, kExperts);
      Variable sum(Tensor::zeros({kTokens, kCols}));
      for (std::size_t e = 0; e < rows.size(); ++e)
        if (!rows[e]->empty())
          sum = add_routed(std::move(sum), scaled(gather_tokens(x_leaf, rows[e], k), e), rows[e], routing);
      double loss = 0;
      for (std::int64_t i = 0; i < sum.value().size(); ++i)
        loss += static_cast<double>(sum.value().data()[i]) * dy[static_cast<std::size_t>(i)];
      EXPECT_NEAR(loss, mixture(scores, x, dy, k, normalize), 1e-4);

      backward(sum, floats_of(dy, {kTokens, kCols}));
      const Imaginary fixed_scores(scores.begin(), scores.end()), fixed_x(x.begin(), x.end());
      const auto gradient_at = [&](Imaginary moved, std::size_t i, bool of_scores) {
        constexpr double kStep = 1e-30;
        moved[i] += std::complex<double>(0, kStep);
        return std::imag(of_scores ? mixture(moved, fixed_x, dy, k, normalize)
                                   : mixture(fixed_scores, moved, dy, k, normalize)) /
               kStep;
      };
      for (std::size_t i = 0; i < scores.size(); ++i)
        EXPECT_NEAR(score_leaf.sink()->gradient().data()[i], gradient_at(fixed_scores, i, true), 1e-5);
      for (std::size_t i = 0; i < x.size(); ++i)
        EXPECT_NEAR(x_leaf.sink()->gradient().data()[i], gradient_at(fixed_x, i, false), 1e-5);
    }
}

TEST(Experts, TheLowerOneIsTakenOnATie) {
  const Routing routing = route(Variable(Tensor::zeros({2, 4})), 3, true);
  EXPECT_EQ(*routing.experts, (std::vector<std::int32_t>{0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(routing.weights.value().data()[0], 1.0f / 3.0f);
  const auto rows = rows_by_expert(routing, 4);
  EXPECT_EQ(*rows[1], (std::vector<std::int64_t>{1, 4}));
  EXPECT_TRUE(rows[3]->empty());
}

}  // namespace
}  // namespace qad::testing
