// Attention: fast against definition over packed segments, caches, windows and grouped heads; the definition's backward
// against the complex step.
#include <gtest/gtest.h>

#include "autograd/kernels/attention.h"
#include "autograd/reference/attention.h"
#include "tests/support/complex_step.h"
#include "tests/support/near.h"

namespace qad::testing {
namespace {

using kernels::AttentionSegment;

struct AttentionCase {
  std::string name;
  std::vector<AttentionSegment> segments;
  std::int64_t heads, kv_heads, head_dim, window = 0;

  [[nodiscard]] std::int64_t queries() const { return segments.back().q_end; }
  [[nodiscard]] std::int64_t keys() const { return segments.back().k_end; }
  [[nodiscard]] double scale() const { return 1.0 / std::sqrt(static_cast<double>(head_dim)); }
  [[nodiscard]] kernels::AttentionShape shape() const {
    return {segments, heads, kv_heads, head_dim, static_cast<float>(scale()), window};
  }
};

const std::vector<AttentionCase>& attention_cases() {
  static const std::vector<AttentionCase> all = {
      {"one token", {{0, 1, 0, 1}}, 1, 1, 16},
      {"single-token segments", {{0, 1, 0, 1}, {1, 2, 1, 2}, {2, 9, 2, 9}}, 4, 2, 16},
      {"packed", {{0, 50, 0, 50}, {50, 53, 50, 53}, {53, 130, 53, 130}}, 4, 2, 32},
      {"several tiles", {{0, 300, 0, 300}}, 2, 2, 16},
      {"odd head size", {{0, 70, 0, 70}}, 3, 1, 20},
      {"head size 128", {{0, 65, 0, 65}}, 2, 1, 128},
      {"multi-query", {{0, 40, 0, 40}}, 8, 1, 16},
      {"decoding with caches", {{0, 1, 0, 200}, {1, 2, 200, 333}}, 8, 2, 64},
      {"prompt after a cache", {{0, 30, 0, 100}}, 4, 4, 16},
      {"window", {{0, 150, 0, 150}, {150, 155, 150, 155}}, 4, 2, 16, 17},
      {"window of one", {{0, 20, 0, 20}}, 2, 1, 16, 1},
      {"window after a cache", {{0, 40, 0, 200}}, 4, 2, 32, 33},
  };
  return all;
}

struct AttentionData {
  std::vector<float> q, k, v, d_out;

  AttentionData(const AttentionCase& c, double scale)
      : q(normal_floats(c.queries() * c.heads * c.head_dim, scale, 1)),
        k(normal_floats(c.keys() * c.kv_heads * c.head_dim, scale, 2)),
        v(normal_floats(c.keys() * c.kv_heads * c.head_dim, 1.0, 3)),
        d_out(normal_floats(c.queries() * c.heads * c.head_dim, 1.0, 4)) {}
};

// out, log_sum_exp, dq, dk, dv.
template <class T>
struct AttentionResults {
  std::vector<T> out, log_sum_exp, dq, dk, dv;

  explicit AttentionResults(const AttentionCase& c)
      : out(static_cast<std::size_t>(c.queries() * c.heads * c.head_dim)),
        log_sum_exp(static_cast<std::size_t>(c.queries() * c.heads)),
        dq(out.size()),
        dk(static_cast<std::size_t>(c.keys() * c.kv_heads * c.head_dim), T(77)),
        dv(dk) {}
};

AttentionResults<float> run_fast(const AttentionCase& c, const AttentionData& data) {
  AttentionResults<float> r(c);
  const auto shape = c.shape();
  kernels::attention_forward(shape, data.q.data(), data.k.data(), data.v.data(), r.out.data(), r.log_sum_exp.data());
  kernels::attention_backward(shape, data.q.data(), data.k.data(), data.v.data(), r.log_sum_exp.data(),
                              data.d_out.data(), r.dq.data(), r.dk.data(), r.dv.data());
  return r;
}

AttentionResults<double> run_reference(const AttentionCase& c, const AttentionData& data) {
  AttentionResults<double> r(c);
  const Real q = doubles(data.q), k = doubles(data.k), v = doubles(data.v), d_out = doubles(data.d_out);
  for (const AttentionSegment& s : c.segments) {
    const reference::AttentionExtents e{
        s.q_end - s.q_begin, s.k_end - s.k_begin, c.heads, c.kv_heads, c.head_dim, c.window, c.scale()};
    const std::int64_t at_q = e.q_at(s.q_begin, 0), at_k = e.kv_at(s.k_begin, 0), at_sum = s.q_begin * c.heads;
    reference::attention_forward(e, &q[0] + at_q, &k[0] + at_k, &v[0] + at_k, &r.out[0] + at_q,
                                 &r.log_sum_exp[0] + at_sum);
    reference::attention_backward(e, &q[0] + at_q, &k[0] + at_k, &v[0] + at_k, &r.out[0] + at_q,
                                  &r.log_sum_exp[0] + at_sum, &d_out[0] + at_q, &r.dq[0] + at_q, &r.dk[0] + at_k,
                                  &r.dv[0] + at_k);
  }
  return r;
}

TEST(KernelsAttention, EqualsTheDefinition) {
  for (const AttentionCase& c : attention_cases())
    for (const double scale : {1e-3, 0.03, 0.3, 1.0, 3.0}) {
      const AttentionData data(c, scale);
      const AttentionResults<float> fast = run_fast(c, data);
      const AttentionResults<double> expected = run_reference(c, data);
      // Scores grow with the square of the scale, and so do their rounding errors, which the exponential passes on.
      const double tolerance = 3e-6 * std::max(1.0, scale * scale);
      const std::string name = c.name + " at scale " + std::to_string(scale) + ": ";
      expect_near(name + "out", fast.out, expected.out, tolerance);
      expect_near(name + "log_sum_exp", fast.log_sum_exp, expected.log_sum_exp, tolerance);
      expect_near(name + "dv", fast.dv, expected.dv, tolerance);
      if (c.queries() == c.keys() && c.queries() == 1) continue;  // one key: dS is zero but for rounding
      if (c.window == 1) continue;
      expect_near(name + "dq", fast.dq, expected.dq, tolerance);
      expect_near(name + "dk", fast.dk, expected.dk, tolerance);
    }
}

TEST(KernelsAttention, BrokenScoreIsNotHidden) {
  const AttentionCase c{"", {{0, 20, 0, 20}}, 1, 1, 16};
  AttentionData data(c, 1.0);
  data.k[5 * 16] = std::numeric_limits<float>::quiet_NaN();
  const AttentionResults<float> fast = run_fast(c, data);
  for (std::size_t query = 0; query < 20; ++query) EXPECT_EQ(std::isnan(fast.out[query * 16]), query >= 5) << query;
}

TEST(KernelsAttention, SameBitsAtAnyThreadCount) {
  for (const AttentionCase& c : attention_cases()) {
    const AttentionData data(c, 1.0);
    expect_same_at_any_thread_count(c.name, [&] {
      AttentionResults<float> r = run_fast(c, data);
      std::vector<float> all = r.out;
      for (const auto* part : {&r.log_sum_exp, &r.dq, &r.dk, &r.dv}) all.insert(all.end(), part->begin(), part->end());
      return all;
    });
  }
}

TEST(ReferenceAttention, BackwardEqualsComplexStep) {
  for (const reference::AttentionExtents& e :
       {reference::AttentionExtents{3, 3, 2, 1, 4, 0, 0.5}, reference::AttentionExtents{2, 5, 2, 2, 3, 0, 0.6},
        reference::AttentionExtents{5, 6, 2, 1, 2, 3, 0.7}})
    for (const double scale : {1e-6, 1e-4, 1e-3, 1e-2, 0.1, 0.3, 0.6, 1.0, 1.5, 2.0}) {
      const Real q = normal_doubles(e.queries * e.heads * e.dim, scale, 1);
      const Real k = normal_doubles(e.keys * e.kv_heads * e.dim, scale, 2);
      const Real v = normal_doubles(e.keys * e.kv_heads * e.dim, 1.0, 3),
                 d_out = normal_doubles(e.queries * e.heads * e.dim, 1.0, 4);
      const auto loss = [&](const Imaginary& q_point, const Imaginary& k_point, const Imaginary& v_point) {
        Imaginary out(q.size()), sums(q.size());
        reference::attention_forward(e, q_point.data(), k_point.data(), v_point.data(), out.data(), sums.data());
        return weighted_sum(d_out, out);
      };
      const Imaginary fq(q.begin(), q.end()), fk(k.begin(), k.end()), fv(v.begin(), v.end());
      Real out(q.size()), sums(q.size()), dq(q.size()), dk(k.size()), dv(v.size());
      reference::attention_forward(e, q.data(), k.data(), v.data(), out.data(), sums.data());
      reference::attention_backward(e, q.data(), k.data(), v.data(), out.data(), sums.data(), d_out.data(), dq.data(),
                                    dk.data(), dv.data());
      expect_gradient("dq", dq, complex_step_gradient(q, [&](const Imaginary& x) { return loss(x, fk, fv); }));
      expect_gradient("dk", dk, complex_step_gradient(k, [&](const Imaginary& x) { return loss(fq, x, fv); }));
      expect_gradient("dv", dv, complex_step_gradient(v, [&](const Imaginary& x) { return loss(fq, fk, x); }));
    }
}

}  // namespace
}  // namespace qad::testing
