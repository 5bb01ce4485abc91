// The delta rule: the definition's backward against the complex step, the fast one against the definition over lengths
// about the sizes of blocks and chunks, steep decays, and that neither threads nor neighbours change a bit.
#include <gtest/gtest.h>

#include <limits>

#include "autograd/kernels/delta_rule.h"
#include "autograd/kernels/simd_targets.h"
#include "tests/autograd/delta_rule_cases.h"
#include "tests/support/every_target.h"

namespace qad::testing {
namespace {

using kernels::DeltaRuleSegment;

const std::vector<DeltaRuleCase>& kernel_cases() {
  static const std::vector<DeltaRuleCase> all = {{1, 1, 16, 16, false}, {1, 1, 16, 16, true}, {2, 4, 24, 20, false},
                                                 {1, 2, 20, 33, true},  {2, 2, 5, 3, true},   {1, 3, 2, 1, false}};
  return all;
}

struct Result {
  std::vector<float> out;
  DeltaRuleArrays<float> gradients;

  [[nodiscard]] std::vector<float> together() {
    std::vector<float> bits = out;
    for (const std::vector<float>* part : gradients.all()) bits.insert(bits.end(), part->begin(), part->end());
    return bits;
  }
};

// Sequences of these lengths side by side.
Result run_delta_rule(const DeltaRuleCase& c, const std::vector<std::int64_t>& lengths, const DeltaRuleArrays<float>& x,
                      const std::vector<float>& d_out) {
  std::vector<DeltaRuleSegment> segments;
  std::int64_t tokens = 0;
  for (const std::int64_t length : lengths) {
    segments.push_back({{tokens, tokens + length}});
    tokens += length;
  }
  const std::int64_t kept = kernels::count_starts(segments);
  const kernels::DeltaRuleExtents e{segments, c.key_heads, c.value_heads, c.key_dim, c.value_dim, c.by_channel};
  std::vector<float> starts(static_cast<std::size_t>(kept * c.value_heads * e.state_size()));
  Result result{std::vector<float>(d_out.size()),
                {std::vector<float>(x.q.size()), std::vector<float>(x.k.size()), std::vector<float>(x.v.size()),
                 std::vector<float>(x.decay.size()), std::vector<float>(x.beta.size())}};
  const std::int64_t qk = c.key_heads * c.key_dim, v = c.value_heads * c.value_dim, l = c.value_heads * c.decay_width();
  const kernels::DeltaRuleTensors<const float> input{
      {x.q.data(), qk}, {x.k.data(), qk}, {x.v.data(), v}, {x.decay.data(), l}, {x.beta.data(), c.value_heads}};
  auto& d = result.gradients;
  kernels::delta_rule_forward(e, input, result.out.data(), starts.data());
  kernels::delta_rule_backward(
      e, input, starts.data(), d_out.data(),
      {{d.q.data(), qk}, {d.k.data(), qk}, {d.v.data(), v}, {d.decay.data(), l}, {d.beta.data(), c.value_heads}});
  return result;
}

template <class T>
std::vector<T> rows_of(const std::vector<T>& x, std::int64_t tokens, std::int64_t begin, std::int64_t end) {
  const auto width = static_cast<std::int64_t>(x.size()) / tokens;
  return {x.begin() + begin * width, x.begin() + end * width};
}
DeltaRuleArrays<float> rows_of(const DeltaRuleArrays<float>& x, std::int64_t tokens, std::int64_t begin,
                               std::int64_t end) {
  return {rows_of(x.q, tokens, begin, end), rows_of(x.k, tokens, begin, end), rows_of(x.v, tokens, begin, end),
          rows_of(x.decay, tokens, begin, end), rows_of(x.beta, tokens, begin, end)};
}

void expect_delta_rule(const DeltaRuleCase& c, std::int64_t tokens, double tolerance) {
  SCOPED_TRACE(c.name() + ", " + std::to_string(tokens) + " tokens");
  const DeltaRuleArrays<float> x = delta_rule_input(c, tokens);
  const auto d_out = delta_rule_d_out(c, tokens);
  Result fast = run_delta_rule(c, {tokens}, x, d_out);
  DeltaRuleArrays<double> exact = doubles(x);
  DeltaRuleArrays<double> expected = delta_rule_gradients(c, tokens, exact, doubles(d_out));
  expect_near("out", fast.out, delta_rule_definition(c, tokens, exact), tolerance);
  // The first token has nothing to forget: what it has for a gradient of decay is a rest of rounding.
  for (const float l : rows_of(fast.gradients.decay, tokens, 0, 1)) EXPECT_LE(std::abs(l), 1e-5);
  std::fill_n(fast.gradients.decay.begin(), c.value_heads * c.decay_width(), 0.0f);
  for (std::size_t i = 0; i < 5; ++i)
    expect_near(kDeltaRuleNames[i], *fast.gradients.all()[i], *expected.all()[i], 5 * tolerance);
}

TEST(ReferenceDeltaRule, BackwardEqualsComplexStep) {
  for (const DeltaRuleCase& c : {DeltaRuleCase{1, 1, 3, 2, false}, DeltaRuleCase{1, 2, 2, 3, true},
                                 DeltaRuleCase{2, 4, 2, 2, false}, DeltaRuleCase{1, 1, 3, 3, true, 5.0}}) {
    SCOPED_TRACE(c.name());
    constexpr std::int64_t kTokens = 4;
    const DeltaRuleArrays<double> x = doubles(delta_rule_input(c, kTokens));
    const Real d_out = doubles(delta_rule_d_out(c, kTokens));
    DeltaRuleArrays<double> gradients = delta_rule_gradients(c, kTokens, x, d_out);
    const auto complex = [](const Real& values) { return Imaginary(values.begin(), values.end()); };
    for (std::size_t i = 0; i < 5; ++i) {
      DeltaRuleArrays<double> values = x;
      const auto loss = [&](const Imaginary& point) {
        DeltaRuleArrays<Complex> at{complex(x.q), complex(x.k), complex(x.v), complex(x.decay), complex(x.beta)};
        *at.all()[i] = point;
        return weighted_sum(d_out, delta_rule_definition(c, kTokens, at));
      };
      expect_gradient(kDeltaRuleNames[i], *gradients.all()[i], complex_step_gradient(*values.all()[i], loss), 1e-10);
    }
  }
}

TEST(KernelsDeltaRule, EqualsTheDefinition) {
  for (const DeltaRuleCase& c : kernel_cases())
    for (const std::int64_t tokens : {1, 2, 15, 16, 17, 63, 64, 65, 130}) expect_delta_rule(c, tokens, 3e-5);
}

TEST(KernelsDeltaRule, EqualsTheDefinitionAtFullSize) {
  for (const bool by_channel : {false, true}) expect_delta_rule({1, 2, 128, 128, by_channel}, 140, 3e-5);
}

TEST(KernelsDeltaRule, EqualsTheDefinitionWithEachInstructionSet) {
  for_each_target([] {
    for (const bool by_channel : {false, true}) expect_delta_rule({1, 2, 20, 33, by_channel}, 81, 3e-5);
  });
}

// A state is forgotten in one step, and e^-L of a chunk would be e^3840: sums in FP32 lose what a small decay after
// large ones adds.
TEST(KernelsDeltaRule, SteepDecays) {
  for (const DeltaRuleCase& c : kernel_cases())
    for (const double steepness : {6.0, 60.0})
      for (const std::int64_t tokens : {17, 130}) {
        DeltaRuleCase steep = c;
        steep.steepness = steepness;
        SCOPED_TRACE(steepness);
        expect_delta_rule(steep, tokens, 3e-4);
      }
}

TEST(KernelsDeltaRule, NoDecayAtAll) {
  for (DeltaRuleCase c : kernel_cases()) {
    c.steepness = 0;
    expect_delta_rule(c, 130, 1e-4);
  }
}

TEST(KernelsDeltaRule, SameBitsAtAnyThreadCount) {
  for (const DeltaRuleCase& c : kernel_cases()) {
    const std::vector<std::int64_t> lengths = {70, 1, 130, 16};
    const auto x = delta_rule_input(c, 217);
    const auto d_out = delta_rule_d_out(c, 217);
    expect_same_at_any_thread_count(c.name(), [&] { return run_delta_rule(c, lengths, x, d_out).together(); });
  }
}

TEST(KernelsDeltaRule, NeighboursChangeNoBit) {
  for (const DeltaRuleCase& c : kernel_cases()) {
    const std::vector<std::int64_t> lengths = {70, 1, 130, 16};
    constexpr std::int64_t kTokens = 217;
    const auto x = delta_rule_input(c, kTokens);
    const auto d_out = delta_rule_d_out(c, kTokens);
    Result packed = run_delta_rule(c, lengths, x, d_out);
    std::int64_t begin = 0;
    for (const std::int64_t length : lengths) {
      const std::int64_t end = begin + length;
      Result alone = run_delta_rule(c, {length}, rows_of(x, kTokens, begin, end), rows_of(d_out, kTokens, begin, end));
      Result part{rows_of(packed.out, kTokens, begin, end), rows_of(packed.gradients, kTokens, begin, end)};
      expect_same_bits(c.name(), part.together(), alone.together());
      begin = end;
    }
  }
}

TEST(KernelsDeltaRule, ImmenseDecaysStayFinite) {
  for (DeltaRuleCase c : kernel_cases()) {
    c.steepness = 1e30;
    const std::vector<float> all =
        run_delta_rule(c, {130}, delta_rule_input(c, 130), delta_rule_d_out(c, 130)).together();
    EXPECT_TRUE(std::all_of(all.begin(), all.end(), [](float value) { return std::isfinite(value); })) << c.name();
  }
}

TEST(KernelsDeltaRule, ANaNComesThrough) {
  for (const DeltaRuleCase& c : kernel_cases()) {
    const DeltaRuleArrays<float> healthy = delta_rule_input(c, 70);
    for (std::size_t i = 0; i < 5; ++i) {
      DeltaRuleArrays<float> x = healthy;
      x.all()[i]->at(0) = std::numeric_limits<float>::quiet_NaN();
      const std::vector<float> out = run_delta_rule(c, {70}, x, delta_rule_d_out(c, 70)).out;
      // A query is read once, everything else stays in the state.
      const std::vector<float> row = i == 0 ? rows_of(out, 70, 0, 1) : rows_of(out, 70, 69, 70);
      EXPECT_TRUE(std::any_of(row.begin(), row.end(), [](float value) { return std::isnan(value); }))
          << c.name() << ": " << kDeltaRuleNames[i];
    }
  }
}

}  // namespace
}  // namespace qad::testing
