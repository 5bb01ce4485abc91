// The ops of the delta rule: gradients of columns of one projection beside other users of it, decoding token by token
// and by pieces, shapes of parameters.
#include "autograd/ops/delta_rule.h"

#include <gtest/gtest.h>

#include "autograd/ops/elementwise.h"
#include "tests/autograd/delta_rule_cases.h"

namespace qad {
namespace {

using testing::DeltaRuleArrays;
using testing::DeltaRuleCase;

const std::vector<DeltaRuleCase>& delta_rule_cases() {
  static const std::vector<DeltaRuleCase> all = {{2, 4, 24, 20, false}, {2, 2, 20, 33, true}, {1, 2, 32, 32, true}};
  return all;
}

DeltaRuleShape shape_of(const DeltaRuleCase& c) { return {c.key_heads, c.value_heads, c.key_dim, c.value_dim}; }

SequenceParts parts_of(std::vector<SequencePart> parts) {
  return std::make_shared<const std::vector<SequencePart>>(std::move(parts));
}

Tensor tensor_rows(const std::vector<float>& x, std::int64_t tokens, std::int64_t begin, std::int64_t end) {
  const auto width = static_cast<std::int64_t>(x.size()) / tokens;
  return Tensor::from(
      std::span(x).subspan(static_cast<std::size_t>(begin * width), static_cast<std::size_t>((end - begin) * width)),
      {end - begin, width});
}

std::vector<float> values_of(const Tensor& x) { return {x.span().begin(), x.span().end()}; }

TEST(DeltaRule, ColumnsOfOneProjectionBesideOtherUsers) {
  for (const DeltaRuleCase& c : delta_rule_cases()) {
    SCOPED_TRACE(c.name());
    constexpr std::int64_t kTokens = 75;
    const DeltaRuleArrays<float> x = testing::delta_rule_input(c, kTokens);
    const auto d_out = testing::delta_rule_d_out(c, kTokens);
    const std::int64_t qk = c.key_heads * c.key_dim, v = c.value_heads * c.value_dim, width = 2 * qk + v + 3;
    Tensor projection({kTokens, width});
    projection.fill(7.0f);
    for (std::int64_t t = 0; t < kTokens; ++t) {
      std::copy_n(x.q.data() + t * qk, qk, projection.data() + t * width);
      std::copy_n(x.k.data() + t * qk, qk, projection.data() + t * width + qk);
      std::copy_n(x.v.data() + t * v, v, projection.data() + t * width + 2 * qk);
    }
    const Variable leaf = Variable::leaf(projection);
    const Variable decay = Variable::leaf(tensor_rows(x.decay, kTokens, 0, kTokens));
    const Variable beta = Variable::leaf(tensor_rows(x.beta, kTokens, 0, kTokens));
    const Variable out = delta_rule({leaf, 0, qk}, {leaf, qk, 2 * qk}, {leaf, 2 * qk, 2 * qk + v}, decay, beta,
                                    shape_of(c), parts_of({{0, kTokens, 0, 0}}), nullptr);
    const Variable other = arranged(leaf, {{0, v}});  // the other user: its gradient is that of the sum
    backward(add(out, other), Tensor::from(d_out, out.shape()));

    DeltaRuleArrays<double> exact = testing::doubles(x);
    const auto expected = testing::delta_rule_gradients(c, kTokens, exact, testing::doubles(d_out));
    testing::Real together(static_cast<std::size_t>(kTokens * width));
    for (std::int64_t t = 0; t < kTokens; ++t) {
      double* row = together.data() + t * width;
      std::copy_n(expected.q.data() + t * qk, qk, row);
      std::copy_n(expected.k.data() + t * qk, qk, row + qk);
      std::copy_n(expected.v.data() + t * v, v, row + 2 * qk);
      for (std::int64_t i = 0; i < v; ++i) row[i] += static_cast<double>(d_out[static_cast<std::size_t>(t * v + i)]);
    }
    testing::expect_near("projection", leaf.sink()->gradient().span(), together, 1e-4);
    testing::expect_near("decay", decay.sink()->gradient().span(), expected.decay, 1e-4);
    testing::expect_near("beta", beta.sink()->gradient().span(), expected.beta, 1e-4);
  }
}

// A constant among the inputs takes no gradient and changes no other.
TEST(DeltaRule, OnlyWhoLearnsGetsAGradient) {
  const DeltaRuleCase c = delta_rule_cases().front();
  constexpr std::int64_t kTokens = 70;
  const auto x = testing::delta_rule_input(c, kTokens);
  const auto gradient_of_v = [&](bool all) {
    const auto variable = [&](const std::vector<float>& values, bool learns) {
      const Tensor tensor = tensor_rows(values, kTokens, 0, kTokens);
      return learns ? Variable::leaf(tensor) : Variable(tensor);
    };
    const Variable v = variable(x.v, true);
    const Variable out =
        delta_rule(variable(x.q, all), variable(x.k, all), v, variable(x.decay, all), variable(x.beta, all),
                   shape_of(c), parts_of({{0, 30, 0, 0}, {30, kTokens, 0, 0}}), nullptr);
    backward(out, Tensor::from(testing::delta_rule_d_out(c, kTokens), out.shape()));
    return values_of(v.sink()->gradient());
  };
  testing::expect_same_bits("dv", gradient_of_v(true), gradient_of_v(false));
}

// Runs two sequences of x's tokens at once, cut at these places, with states in the order 1, 0.
std::vector<float> decoded(const DeltaRuleCase& c, const DeltaRuleArrays<float>& x, std::int64_t tokens,
                           const std::vector<std::int64_t>& cuts, const Tensor& states) {
  const NoGradScope no_grad;
  states.fill(std::numeric_limits<float>::quiet_NaN());  // what a place holds before its sequence is not read
  std::vector<float> out;
  std::int64_t begin = 0;
  for (const std::int64_t end : cuts) {
    const std::int64_t count = end - begin;
    const auto twice = [&](const std::vector<float>& values) {
      const auto width = static_cast<std::int64_t>(values.size()) / tokens;
      Tensor both({2 * count, width});
      for (const std::int64_t half : {0, 1})
        std::copy_n(values.data() + begin * width, count * width, both.data() + half * count * width);
      return Variable(both);
    };
    const Tensor y = delta_rule(twice(x.q), twice(x.k), twice(x.v), twice(x.decay), twice(x.beta), shape_of(c),
                                parts_of({{0, count, 1, begin}, {count, 2 * count, 0, begin}}), &states)
                         .value();
    const std::vector<float> values = values_of(y);
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    testing::expect_same_bits("both sequences", std::vector<float>(values.begin(), middle),
                              std::vector<float>(middle, values.end()));
    out.insert(out.end(), values.begin(), middle);
    begin = end;
  }
  return out;
}

TEST(DeltaRule, DecodingGoesOnFromStates) {
  for (const DeltaRuleCase& c : delta_rule_cases()) {
    SCOPED_TRACE(c.name());
    constexpr std::int64_t kTokens = 200;
    const auto x = testing::delta_rule_input(c, kTokens);
    const auto place = [&] { return Tensor({2, c.value_heads, c.key_dim, c.value_dim}); };
    const Tensor whole_states = place(), cut_states = place(), states = place();
    const auto whole = decoded(c, x, kTokens, {kTokens}, whole_states);
    const auto in_doubles = testing::delta_rule_definition(c, kTokens, testing::doubles(x));
    testing::expect_near("whole", whole, in_doubles, 3e-5);

    const auto cut = decoded(c, x, kTokens, {64, 192, kTokens}, cut_states);
    testing::expect_same_bits("cut between chunks", cut, whole);
    testing::expect_same_bits("its states", values_of(cut_states), values_of(whole_states));

    std::vector<std::int64_t> each(kTokens);
    for (std::int64_t i = 0; i < kTokens; ++i) each[static_cast<std::size_t>(i)] = i + 1;
    testing::expect_near("token by token", decoded(c, x, kTokens, each, states), in_doubles, 1e-4);
    testing::expect_near("their states", states.span(), testing::doubles(whole_states.span()), 1e-4);
    testing::expect_near("uneven pieces", decoded(c, x, kTokens, {3, 70, 71, 72, 129, kTokens}, states), in_doubles,
                         1e-4);

    // As it is trained: no states, the same bits.
    const auto all = [&](const std::vector<float>& values) {
      return Variable::leaf(tensor_rows(values, kTokens, 0, kTokens));
    };
    const Variable trained = delta_rule(all(x.q), all(x.k), all(x.v), all(x.decay), all(x.beta), shape_of(c),
                                        parts_of({{0, kTokens, 0, 0}}), nullptr);
    testing::expect_same_bits("recorded", values_of(trained.value()), whole);
  }
}

TEST(LogDecay, ParametersOfAnyShapeAndColumnsOfOneProjection) {
  constexpr std::int64_t kTokens = 40, kHeads = 3, kWidth = 4, kCols = kHeads * kWidth;
  const auto g = testing::normal_floats(kTokens * (kCols + 5), 1.0, 1), A = testing::normal_floats(kHeads, 1.0, 2),
             bias = testing::normal_floats(kCols, 1.0, 3), dl = testing::normal_floats(kTokens * kCols, 1.0, 4);
  const Variable leaf = Variable::leaf(Tensor::from(g, {kTokens, kCols + 5}));
  const Variable A_log = Variable::leaf(Tensor::from(A, {1, 1, kHeads, 1}));
  const Variable dt_bias = Variable::leaf(Tensor::from(bias, {kHeads, kWidth}));
  const Variable l = log_decay({leaf, 5, 5 + kCols}, A_log, dt_bias);
  backward(l, Tensor::from(dl, l.shape()));

  testing::Real part, dg(static_cast<std::size_t>(kTokens * kCols)), dA(kHeads), d_bias(kCols), expected(dg.size());
  for (std::int64_t i = 0; i < kTokens * kCols; ++i)
    part.push_back(static_cast<double>(g[static_cast<std::size_t>(i / kCols * (kCols + 5) + 5 + i % kCols)]));
  const auto A_exact = testing::doubles(A), bias_exact = testing::doubles(bias), dl_exact = testing::doubles(dl);
  reference::log_decay_forward(kTokens, kCols, kHeads, part.data(), A_exact.data(), bias_exact.data(), expected.data());
  reference::log_decay_backward(kTokens, kCols, kHeads, part.data(), A_exact.data(), bias_exact.data(), dl_exact.data(),
                                dg.data(), dA.data(), d_bias.data());
  testing::expect_near("l", l.value().span(), expected, 1e-6);
  testing::Real whole(g.size());
  for (std::int64_t i = 0; i < kTokens * kCols; ++i)
    whole[static_cast<std::size_t>(i / kCols * (kCols + 5) + 5 + i % kCols)] = dg[static_cast<std::size_t>(i)];
  testing::expect_near("dg", leaf.sink()->gradient().span(), whole, 1e-6);
  testing::expect_near("dA_log", A_log.sink()->gradient().span(), dA, 1e-5);
  testing::expect_near("d_dt_bias", dt_bias.sink()->gradient().span(), d_bias, 1e-5);
  EXPECT_EQ(A_log.sink()->gradient().shape(), A_log.shape());
}

}  // namespace
}  // namespace qad
