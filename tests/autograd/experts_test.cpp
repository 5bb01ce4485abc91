// The ops of a mixture of experts: what they say against their definition in double, their gradients against the
// complex step of it.
#include "autograd/ops/experts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <complex>
#include <functional>
#include <memory>
#include <numeric>

#include "tests/support/complex_step.h"
#include "tests/support/near.h"

namespace qad::testing {
namespace {

constexpr std::int64_t kRoutedTokens = 7, kExperts = 5, kTokenCols = 6;

// The experts of a token, the best first, by their real probabilities.
std::vector<std::size_t> chosen(const Real& p, const RoutingRule& rule) {
  Real choice = p;
  if (rule.choice_bias.defined())
    for (std::size_t e = 0; e < p.size(); ++e) choice[e] += static_cast<double>(rule.choice_bias.data()[e]);
  const std::size_t size = p.size() / static_cast<std::size_t>(rule.groups);
  std::vector<std::pair<double, std::size_t>> groups;
  for (std::size_t g = 0; g < static_cast<std::size_t>(rule.groups); ++g) {
    Real own(choice.begin() + static_cast<std::ptrdiff_t>(g * size),
             choice.begin() + static_cast<std::ptrdiff_t>((g + 1) * size));
    std::ranges::sort(own, std::greater());
    groups.emplace_back(own[0] + (rule.choice_bias.defined() && size > 1 ? own[1] : 0.0), g);
  }
  std::ranges::stable_sort(groups, std::greater(), [](const auto& group) { return group.first; });
  std::vector<std::size_t> order;
  for (std::int64_t i = 0; i < rule.groups_taken; ++i)
    for (std::size_t e = 0; e < size; ++e) order.push_back(groups[static_cast<std::size_t>(i)].second * size + e);
  std::ranges::stable_sort(order,
                           [&](auto x, auto y) { return choice[x] != choice[y] ? choice[x] > choice[y] : x < y; });
  order.resize(static_cast<std::size_t>(rule.experts_per_token));
  return order;
}

// Σ over a token's experts of weight·(1 + expert)·x, times dy, in all: every expert is a factor.
template <class T>
T mixture(const std::vector<T>& scores, const std::vector<T>& x, const Real& dy, std::int64_t experts,
          const RoutingRule& rule) {
  T loss(0);
  for (std::int64_t t = 0; t < kRoutedTokens; ++t) {
    const T* row = scores.data() + t * experts;
    std::vector<T> p(static_cast<std::size_t>(experts));
    T sum(0);
    for (std::int64_t e = 0; e < experts; ++e) sum += std::exp(row[e]);
    Real real;
    for (std::int64_t e = 0; e < experts; ++e) {
      const T own = rule.scores == RouterScores::softmax ? std::exp(row[e]) / sum : T(1) / (T(1) + std::exp(-row[e]));
      p[static_cast<std::size_t>(e)] = own;
      real.push_back(std::real(own));
    }
    const std::vector<std::size_t> order = chosen(real, rule);
    T taken(0);
    for (const std::size_t e : order) taken += p[e];
    for (const std::size_t e : order)
      for (std::int64_t c = 0; c < kTokenCols; ++c)
        loss += p[e] / (rule.normalize ? taken : T(1)) * static_cast<double>(rule.scale) * static_cast<double>(1 + e) *
                x[static_cast<std::size_t>(t * kTokenCols + c)] * dy[static_cast<std::size_t>(t * kTokenCols + c)];
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

void expect_definition(std::int64_t experts, const RoutingRule& rule) {
  const std::int64_t k = rule.experts_per_token;
  const Real scores = normal_doubles(kRoutedTokens * experts, 1.5, 1),
             x = normal_doubles(kRoutedTokens * kTokenCols, 1.0, 2);
  const Real dy = normal_doubles(kRoutedTokens * kTokenCols, 1.0, 3);
  const Variable score_leaf = Variable::leaf(floats_of(scores, {kRoutedTokens, experts}));
  const Variable x_leaf = Variable::leaf(floats_of(x, {kRoutedTokens, kTokenCols}));
  const Routing routing = route(score_leaf, rule);
  const auto rows = rows_by_expert(routing, experts);
  Variable sum(Tensor::zeros({kRoutedTokens, kTokenCols}));
  for (std::size_t e = 0; e < rows.size(); ++e)
    if (!rows[e]->empty())
      sum = add_routed(std::move(sum), scaled(gather_tokens(x_leaf, rows[e], k), e), rows[e], routing);
  double loss = 0;
  for (std::int64_t i = 0; i < sum.value().size(); ++i)
    loss += static_cast<double>(sum.value().data()[i]) * dy[static_cast<std::size_t>(i)];
  EXPECT_NEAR(loss, mixture(scores, x, dy, experts, rule), 1e-4);

  backward(sum, floats_of(dy, {kRoutedTokens, kTokenCols}));
  const Imaginary fixed_scores(scores.begin(), scores.end()), fixed_x(x.begin(), x.end());
  const auto gradient_at = [&](Imaginary moved, std::size_t i, bool of_scores) {
    constexpr double kStep = 1e-30;
    moved[i] += std::complex<double>(0, kStep);
    return std::imag(of_scores ? mixture(moved, fixed_x, dy, experts, rule)
                               : mixture(fixed_scores, moved, dy, experts, rule)) /
           kStep;
  };
  for (std::size_t i = 0; i < scores.size(); ++i)
    EXPECT_NEAR(score_leaf.sink()->gradient().data()[i], gradient_at(fixed_scores, i, true), 2e-5);
  for (std::size_t i = 0; i < x.size(); ++i)
    EXPECT_NEAR(x_leaf.sink()->gradient().data()[i], gradient_at(fixed_x, i, false), 2e-5);
}

TEST(Experts, ValuesAndGradientsAreThoseOfTheDefinition) {
  for (const std::int64_t k : {1, 2, 5})
    for (const bool normalize : {false, true})
      expect_definition(kExperts, {.experts_per_token = k, .normalize = normalize});
}

TEST(Experts, AlsoOfGroupsOfSigmoidsAndOfABias) {
  constexpr std::int64_t kMany = 12;
  const Tensor bias = floats_of(normal_doubles(kMany, 0.7, 9), {kMany});
  for (const bool normalize : {false, true})
    for (const RouterScores scores : {RouterScores::softmax, RouterScores::sigmoid})
      for (const bool biased : {false, true})
        for (const std::int64_t groups : {1, 3, 4, 12})
          expect_definition(kMany, {.experts_per_token = 3,
                                    .normalize = normalize,
                                    .scores = scores,
                                    .groups = groups,
                                    .groups_taken = std::min<std::int64_t>(3, groups),
                                    .scale = 2.5f,
                                    .choice_bias = biased ? bias : Tensor()});
}

// Rows are taken several at a time; each sum keeps its order, so no number of rows changes a bit.
TEST(Experts, AWeightsGradientIsASumInOrder) {
  constexpr std::int64_t kWide = 37;
  for (std::int64_t tokens = 1; tokens < 10; ++tokens) {
    const auto chosen = std::make_shared<std::vector<std::int32_t>>(static_cast<std::size_t>(tokens), 0);
    const Variable weights = Variable::leaf(floats_of(normal_doubles(tokens, 1.0, 1), {tokens, 1}));
    const Routing routing{1, chosen, weights};
    const Tensor output = floats_of(normal_doubles(tokens * kWide, 1.0, 2), {tokens, kWide});
    const Tensor dy = floats_of(normal_doubles(tokens * kWide, 1.0, 3), {tokens, kWide});
    const Variable sum = add_routed(Variable(Tensor::zeros({tokens, kWide})), Variable(output),
                                    rows_by_expert(routing, 1).front(), routing);
    backward(sum, dy);
    for (std::int64_t t = 0; t < tokens; ++t) {
      const float* const d = dy.data() + t * kWide;
      EXPECT_EQ(weights.sink()->gradient().data()[t],
                std::inner_product(d, d + kWide, output.data() + t * kWide, 0.0f));
    }
  }
}

TEST(Experts, TheLowerOneIsTakenOnATie) {
  const Routing routing = route(Variable(Tensor::zeros({2, 4})), {.experts_per_token = 3});
  EXPECT_EQ(*routing.experts, (std::vector<std::int32_t>{0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(routing.weights.value().data()[0], 1.0f / 3.0f);
  const auto rows = rows_by_expert(routing, 4);
  EXPECT_EQ(*rows[1], (std::vector<std::int64_t>{1, 4}));
  EXPECT_TRUE(rows[3]->empty());
}

}  // namespace
}  // namespace qad::testing
