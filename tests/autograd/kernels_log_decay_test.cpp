// The logarithm of decay: fast against definition, definition's backward against the complex step.
#include <gtest/gtest.h>

#include <limits>

#include "autograd/kernels/log_decay.h"
#include "autograd/reference/log_decay.h"
#include "tests/support/complex_step.h"
#include "tests/support/near.h"

namespace qad::testing {
namespace {

struct DecayExtents {
  std::int64_t rows, cols, heads;
};
constexpr double kDecayScales[] = {0.01, 1.0, 8.0, 40.0};

struct DecayData {
  std::vector<float> g, A_log, dt_bias, dl;

  DecayData(const DecayExtents& e, double scale)
      : g(normal_floats(e.rows * e.cols, scale, 1)),
        A_log(normal_floats(e.heads, 1.0, 2)),
        dt_bias(normal_floats(e.cols, 1.0, 3)),
        dl(normal_floats(e.rows * e.cols, 1.0, 4)) {}
};

TEST(KernelsLogDecay, EqualsTheDefinition) {
  for (const DecayExtents& e :
       {DecayExtents{1, 1, 1}, DecayExtents{7, 6, 6}, DecayExtents{300, 96, 4}, DecayExtents{70, 130, 130}})
    for (const double scale : kDecayScales) {
      const DecayData x(e, scale);
      std::vector<float> l(x.g.size()), dg(x.dl), dA(x.A_log), d_bias(x.dt_bias);
      const kernels::LogDecayInput input{e.rows, e.cols, e.heads, x.g.data(), e.cols, x.A_log.data(), x.dt_bias.data()};
      kernels::log_decay_forward(input, l.data());
      kernels::log_decay_backward(input, l.data(), x.dl.data(), {dg.data(), dA.data(), d_bias.data()});
      Real l_expected(l.size()), dg_expected = doubles(x.dl), dA_expected = doubles(x.A_log),
                                 d_bias_expected = doubles(x.dt_bias);
      reference::log_decay_forward(e.rows, e.cols, e.heads, doubles(x.g).data(), doubles(x.A_log).data(),
                                   doubles(x.dt_bias).data(), l_expected.data());
      reference::log_decay_backward(e.rows, e.cols, e.heads, doubles(x.g).data(), doubles(x.A_log).data(),
                                    doubles(x.dt_bias).data(), doubles(x.dl).data(), dg_expected.data(),
                                    dA_expected.data(), d_bias_expected.data());
      expect_near("l", l, l_expected, 1e-6);
      expect_near("dg", dg, dg_expected, 1e-6);
      expect_near("dA_log", dA, dA_expected, 1e-5);
      expect_near("d_dt_bias", d_bias, d_bias_expected, 1e-5);
    }
}

TEST(KernelsLogDecay, FarFromZero) {
  const std::vector<float> g = {-1e30f,  -200.0f, -80.0f, 19.999f,
                                20.001f, 80.0f,   1e30f,  std::numeric_limits<float>::quiet_NaN()};
  const std::vector<float> zeros(g.size());
  const float A_log = 0.0f;
  std::vector<float> l(g.size());
  kernels::log_decay_forward({1, 8, 1, g.data(), 8, &A_log, zeros.data()}, l.data());
  EXPECT_EQ(l[0], 0.0f);
  EXPECT_EQ(l[1], 0.0f);
  EXPECT_NEAR(l[2] / -std::exp(-80.0f), 1.0f, 1e-5f);
  EXPECT_NEAR(l[3], -19.999f, 1e-5f);
  EXPECT_EQ(l[4], -20.001f);
  EXPECT_EQ(l[5], -80.0f);
  EXPECT_EQ(l[6], -1e30f);
  EXPECT_TRUE(std::isnan(l[7]));
}

TEST(ReferenceLogDecay, BackwardEqualsComplexStep) {
  for (const DecayExtents& extents : {DecayExtents{3, 4, 4}, DecayExtents{4, 6, 2}})
    for (const double scale : kDecayScales) {
      const DecayExtents e = extents;
      const DecayData data(e, scale);
      const Real g = doubles(data.g), A_log = doubles(data.A_log), dt_bias = doubles(data.dt_bias),
                 dl = doubles(data.dl);
      const auto loss = [&](const Imaginary& g_at, const Imaginary& A_at, const Imaginary& bias_at) {
        Imaginary l(g.size());
        reference::log_decay_forward(e.rows, e.cols, e.heads, g_at.data(), A_at.data(), bias_at.data(), l.data());
        return weighted_sum(dl, l);
      };
      const Imaginary fixed_g(g.begin(), g.end()), fixed_A(A_log.begin(), A_log.end()),
          fixed_bias(dt_bias.begin(), dt_bias.end());
      Real dg(g.size()), dA(A_log.size()), d_bias(dt_bias.size());
      reference::log_decay_backward(e.rows, e.cols, e.heads, g.data(), A_log.data(), dt_bias.data(), dl.data(),
                                    dg.data(), dA.data(), d_bias.data());
      expect_gradient("dg", dg,
                      complex_step_gradient(g, [&](const Imaginary& p) { return loss(p, fixed_A, fixed_bias); }), 1e-8);
      expect_gradient("dA_log", dA,
                      complex_step_gradient(A_log, [&](const Imaginary& p) { return loss(fixed_g, p, fixed_bias); }));
      expect_gradient("d_dt_bias", d_bias,
                      complex_step_gradient(dt_bias, [&](const Imaginary& p) { return loss(fixed_g, fixed_A, p); }),
                      1e-8);
    }
}

TEST(KernelsLogDecay, SameBitsAtAnyThreadCount) {
  const DecayExtents e{777, 96, 4};
  const DecayData x(e, 1.0);
  expect_same_at_any_thread_count("log_decay", [&] {
    std::vector<float> out(2 * x.g.size() + 100);
    float *l = out.data(), *dg = l + x.g.size(), *dA = dg + x.g.size(), *d_bias = dA + 4;
    const kernels::LogDecayInput input{e.rows, e.cols, e.heads, x.g.data(), e.cols, x.A_log.data(), x.dt_bias.data()};
    kernels::log_decay_forward(input, l);
    kernels::log_decay_backward(input, l, x.dl.data(), {dg, dA, d_bias});
    return out;
  });
}

}  // namespace
}  // namespace qad::testing
