// The scan of Mamba-2: fast against definition by sequence, definition's backward against the complex step, and that
// neither threads, neighbours nor cuts change bits.
#include "autograd/ops/state_space_scan.h"

#include <gtest/gtest.h>

#include <limits>

#include "autograd/ops/elementwise.h"
#include "autograd/reference/state_space_scan.h"
#include "autograd/tape/batch_invariant.h"
#include "tests/support/complex_step.h"
#include "tests/support/near.h"

namespace qad::testing {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct ScanCase {
  std::int64_t heads, head_dim, groups, state;
  double step_low = 0, step_high = kInfinity;
  float rate = 0;  // added to A_log
  [[nodiscard]] std::int64_t width() const { return heads * head_dim + 2 * groups * state; }
  [[nodiscard]] StateSpaceShape shape() const { return {heads, head_dim, groups, state, step_low, step_high}; }
  [[nodiscard]] reference::Scan scan(std::int64_t tokens) const {
    return {tokens, heads, head_dim, groups, state, step_low, step_high};
  }
};
const std::vector<ScanCase> kCases = {{1, 1, 1, 1},
                                      {2, 5, 1, 3},
                                      {4, 8, 2, 16},
                                      {3, 7, 3, 5},
                                      {2, 64, 1, 9},
                                      {32, 20, 1, 7, 0.3, 1},
                                      {4, 16, 2, 6, 0, 1e30, 3.0f}};

struct Inputs {
  std::vector<float> xBC, dt, A_log, D, dt_bias, dy;
};
Inputs inputs_of(const ScanCase& c, std::int64_t rows) {
  Inputs in{normal_floats(rows * c.width(), 1.0, 1), normal_floats(rows * c.heads, 2.0, 2),
            normal_floats(c.heads, 1.0, 3),          normal_floats(c.heads, 1.0, 4),
            normal_floats(c.heads, 1.0, 5),          normal_floats(rows * c.heads * c.head_dim, 1.0, 6)};
  for (float& a : in.A_log) a += c.rate - 1.0f;
  return in;
}

SequenceParts scan_parts(const std::vector<std::int64_t>& lengths) {
  std::vector<SequencePart> parts;
  std::int64_t begin = 0;
  for (const std::int64_t length : lengths) {
    parts.push_back({begin, begin + length, static_cast<std::int64_t>(parts.size()), 0});
    begin += length;
  }
  return std::make_shared<const std::vector<SequencePart>>(std::move(parts));
}
std::int64_t total(const std::vector<std::int64_t>& lengths) {
  std::int64_t rows = 0;
  for (const std::int64_t length : lengths) rows += length;
  return rows;
}
std::vector<float> scanned_floats(const Tensor& x) { return {x.span().begin(), x.span().end()}; }
std::vector<float> scan_rows(const std::vector<float>& x, std::int64_t begin, std::int64_t end, std::int64_t cols) {
  return {x.begin() + begin * cols, x.begin() + end * cols};
}

struct ScanResults {
  std::vector<float> y, dxBC, d_dt, dA_log, dD, d_dt_bias;
  [[nodiscard]] std::vector<float> all() const {
    std::vector<float> joined = y;
    for (const auto* more : {&dxBC, &d_dt, &dA_log, &dD, &d_dt_bias})
      joined.insert(joined.end(), more->begin(), more->end());
    return joined;
  }
};

ScanResults run_scan(const ScanCase& c, const Inputs& in, const std::vector<std::int64_t>& lengths) {
  const std::int64_t rows = total(lengths);
  const auto leaf = [](const std::vector<float>& values, const Shape& shape) {
    return Variable::leaf(Tensor::from(values, shape));
  };
  const Variable xBC = leaf(in.xBC, {rows, c.width()}), dt = leaf(in.dt, {rows, c.heads});
  const Variable A_log = leaf(in.A_log, {c.heads}), D = leaf(in.D, {c.heads}), dt_bias = leaf(in.dt_bias, {c.heads});
  const Variable y = state_space_scan(xBC, dt, {A_log, D, dt_bias}, c.shape(), scan_parts(lengths), nullptr);
  const Tensor value = y.value();
  backward(y, Tensor::from(in.dy, {rows, c.heads * c.head_dim}));
  const auto gradient = [](const Variable& v) { return scanned_floats(v.sink()->gradient()); };
  return {scanned_floats(value), gradient(xBC), gradient(dt), gradient(A_log), gradient(D), gradient(dt_bias)};
}

struct Expected {
  Real y, dxBC, d_dt, dA_log, dD, d_dt_bias;
};
Expected expected(const ScanCase& c, const Inputs& in, const std::vector<std::int64_t>& lengths) {
  const Real xBC = doubles(in.xBC), dt = doubles(in.dt), A_log = doubles(in.A_log), D = doubles(in.D);
  const Real dt_bias = doubles(in.dt_bias), dy = doubles(in.dy);
  const auto heads = static_cast<std::size_t>(c.heads);
  Expected e{Real(dy.size()), Real(xBC.size()), Real(dt.size()), Real(heads), Real(heads), Real(heads)};
  std::int64_t begin = 0;
  for (const std::int64_t length : lengths) {
    Real S(static_cast<std::size_t>(c.heads * c.state * c.head_dim));
    const std::int64_t at = begin * c.width(), dt_at = begin * c.heads, y_at = dt_at * c.head_dim;
    reference::state_space_scan_forward(c.scan(length), xBC.data() + at, dt.data() + dt_at, A_log.data(), D.data(),
                                        dt_bias.data(), S.data(), e.y.data() + y_at,
                                        [](std::int64_t, const double*) {});
    reference::state_space_scan_backward(c.scan(length), xBC.data() + at, dt.data() + dt_at, A_log.data(), D.data(),
                                         dt_bias.data(), dy.data() + y_at, e.dxBC.data() + at, e.d_dt.data() + dt_at,
                                         e.dA_log.data(), e.dD.data(), e.d_dt_bias.data());
    begin += length;
  }
  return e;
}

void expect_equal(const ScanResults& fast, const Expected& e, double tolerance) {
  expect_near("y", fast.y, e.y, tolerance);
  expect_near("dxBC", fast.dxBC, e.dxBC, tolerance);
  expect_near("d_dt", fast.d_dt, e.d_dt, tolerance);
  expect_near("dA_log", fast.dA_log, e.dA_log, tolerance);
  expect_near("dD", fast.dD, e.dD, tolerance);
  expect_near("d_dt_bias", fast.d_dt_bias, e.d_dt_bias, tolerance);
}

TEST(StateSpaceScan, EqualsTheDefinition) {
  for (const ScanCase& c : kCases)
    for (const std::vector<std::int64_t>& lengths :
         {std::vector<std::int64_t>{1}, {63}, {64}, {65}, {130}, {1, 64, 3, 129, 65, 2}}) {
      SCOPED_TRACE(::testing::Message() << c.heads << " heads of " << c.head_dim << ", " << total(lengths) << " rows");
      const Inputs in = inputs_of(c, total(lengths));
      expect_equal(run_scan(c, in, lengths), expected(c, in, lengths), 1e-5);
    }
}

TEST(ReferenceStateSpaceScan, BackwardEqualsComplexStep) {
  for (const ScanCase& c : {ScanCase{1, 1, 1, 1}, ScanCase{4, 3, 2, 2}, ScanCase{2, 2, 1, 3, 0.3, 1.0}}) {
    constexpr std::int64_t kTokens = 6;
    Inputs in = inputs_of(c, kTokens);
    in.dt[0] = 23.0f;  // where softplus is taken as linear
    const Expected e = expected(c, in, {kTokens});
    const std::vector<Real> arguments = {doubles(in.xBC), doubles(in.dt), doubles(in.A_log), doubles(in.D),
                                         doubles(in.dt_bias)};
    const std::vector<const Real*> gradients = {&e.dxBC, &e.d_dt, &e.dA_log, &e.dD, &e.d_dt_bias};
    for (std::size_t which = 0; which < arguments.size(); ++which) {
      const Real gradient = complex_step_gradient(arguments[which], [&](const Imaginary& point) {
        std::vector<Imaginary> a;
        for (const Real& values : arguments) a.emplace_back(values.begin(), values.end());
        a[which] = point;
        Imaginary S(static_cast<std::size_t>(c.heads * c.state * c.head_dim)), y(e.y.size());
        reference::state_space_scan_forward(c.scan(kTokens), a[0].data(), a[1].data(), a[2].data(), a[3].data(),
                                            a[4].data(), S.data(), y.data(), [](std::int64_t, const Complex*) {});
        return weighted_sum(doubles(in.dy), y);
      });
      expect_gradient("argument " + std::to_string(which), *gradients[which], gradient, 1e-11);
    }
  }
}

// 60 nats at most steps, and small steps among them, of which the sum in a chunk knows little.
TEST(StateSpaceScan, SteepDecays) {
  const ScanCase c{2, 9, 1, 5};
  const std::vector<std::int64_t> lengths = {150};
  Inputs in = inputs_of(c, 150);
  in.A_log = {0.0f, 0.0f};
  in.dt_bias = {0.0f, 0.0f};
  for (std::size_t i = 0; i < in.dt.size(); ++i) in.dt[i] = i % 5 < 3 ? 60.0f : -1.0f - static_cast<float>(i % 7);
  const ScanResults fast = run_scan(c, in, lengths);
  for (const float value : fast.all()) ASSERT_TRUE(std::isfinite(value));
  expect_equal(fast, expected(c, in, lengths), 1e-5);
}

TEST(StateSpaceScan, SameBitsAtAnyThreadCount) {
  for (const ScanCase& c : {ScanCase{4, 8, 2, 16}, ScanCase{32, 20, 1, 7}}) {
    const Inputs in = inputs_of(c, 300);
    expect_same_at_any_thread_count("scan", [&] { return run_scan(c, in, {100, 3, 197}).all(); });
  }
}

TEST(StateSpaceScan, ADocumentIsTheSameWhereverItLies) {
  for (const ScanCase& c : kCases) {
    const Inputs in = inputs_of(c, 101 + 77 + 1);
    const ScanResults pack = run_scan(c, in, {77, 101, 1});
    Inputs alone = in;
    alone.xBC = scan_rows(in.xBC, 77, 178, c.width());
    alone.dt = scan_rows(in.dt, 77, 178, c.heads);
    alone.dy = scan_rows(in.dy, 77, 178, c.heads * c.head_dim);
    const ScanResults single = run_scan(c, alone, {101});
    expect_same_bits("y", single.y, scan_rows(pack.y, 77, 178, c.heads * c.head_dim));
    expect_same_bits("dxBC", single.dxBC, scan_rows(pack.dxBC, 77, 178, c.width()));
    expect_same_bits("d_dt", single.d_dt, scan_rows(pack.d_dt, 77, 178, c.heads));
  }
}

// A sequence in pieces, in slot 1 of two.
std::vector<float> in_pieces(const ScanCase& c, const Inputs& in, const std::vector<std::int64_t>& pieces,
                             const Tensor& states) {
  const NoGradScope no_grad;
  const auto constant = [](const std::vector<float>& values, const Shape& shape) {
    return Variable(Tensor::from(values, shape));
  };
  const StateSpaceParameters parameters{constant(in.A_log, {c.heads}), constant(in.D, {c.heads}),
                                        constant(in.dt_bias, {c.heads})};
  std::vector<float> out;
  std::int64_t begin = 0;
  for (const std::int64_t piece : pieces) {
    const std::int64_t end = begin + piece;
    const auto part = std::make_shared<const std::vector<SequencePart>>(1, SequencePart{0, piece, 1, begin});
    const Variable y = state_space_scan(constant(scan_rows(in.xBC, begin, end, c.width()), {piece, c.width()}),
                                        constant(scan_rows(in.dt, begin, end, c.heads), {piece, c.heads}), parameters,
                                        c.shape(), part, &states);
    out.insert(out.end(), y.value().span().begin(), y.value().span().end());
    begin = end;
  }
  return out;
}
Tensor two_states(const ScanCase& c) { return Tensor::full({2, c.heads, c.state, c.head_dim}, 77.0f); }

TEST(StateSpaceScan, GoesOnWhereItStopped) {
  for (const ScanCase& c : kCases) {
    constexpr std::int64_t kTokens = 194;
    const Inputs in = inputs_of(c, kTokens);
    const Tensor whole_states = two_states(c), cut_states = two_states(c), single_states = two_states(c);
    const auto whole = in_pieces(c, in, {kTokens}, whole_states);
    const Expected e = expected(c, in, {kTokens});
    expect_near("whole", whole, e.y, 1e-5);
    expect_same_bits("without states", run_scan(c, in, {kTokens}).y, whole);
    expect_same_bits("cut between chunks", in_pieces(c, in, {64, 128, 2}, cut_states), whole);
    expect_same_bits("states", scanned_floats(cut_states), scanned_floats(whole_states));
    expect_near("token by token", in_pieces(c, in, std::vector<std::int64_t>(kTokens, 1), single_states), e.y, 1e-5);
    expect_near("states", single_states.span(), doubles(whole_states.span()), 1e-5);
    expect_near("anyhow", in_pieces(c, in, {3, 70, 1, 120}, single_states), e.y, 1e-5);
    for (std::int64_t i = 0; i < single_states.size() / 2; ++i) EXPECT_EQ(single_states.data()[i], 77.0f);
  }
}

TEST(StateSpaceScan, NoCutChangesBitsWhereBatchesMustNot) {
  const BatchInvariantScope scope;
  const ScanCase c{4, 24, 2, 6};
  const Inputs in = inputs_of(c, 100);
  const Tensor states = two_states(c);
  const auto whole = in_pieces(c, in, {100}, states);
  expect_same_bits("token by token", in_pieces(c, in, std::vector<std::int64_t>(100, 1), states), whole);
  expect_same_bits("anyhow", in_pieces(c, in, {3, 70, 1, 26}, states), whole);
  expect_same_bits("recorded", run_scan(c, in, {100}).y, whole);
}

// dt and what else reads the same matrix: both gradients are there.
TEST(StateSpaceScan, StepsFromColumns) {
  const ScanCase c{2, 5, 1, 3};
  constexpr std::int64_t kTokens = 70;
  const Inputs in = inputs_of(c, kTokens);
  const Variable wide = Variable::leaf(Tensor::from(normal_floats(kTokens * 13, 1.0, 9), {kTokens, 13}));
  for (std::int64_t i = 0; i < kTokens * 2; ++i)
    wide.value().data()[i / 2 * 13 + 11 + i % 2] = in.dt[static_cast<std::size_t>(i)];
  const auto constant = [](const std::vector<float>& values, const Shape& shape) {
    return Variable(Tensor::from(values, shape));
  };
  const Variable y = state_space_scan(constant(in.xBC, {kTokens, c.width()}), Columns(wide, 11, 13),
                                      {constant(in.A_log, {2}), constant(in.D, {2}), constant(in.dt_bias, {2})},
                                      c.shape(), scan_parts({kTokens}), nullptr);
  backward(add(y, arranged(wide, {{3, 13}})), Tensor::from(in.dy, {kTokens, 10}));
  const Expected e = expected(c, in, {kTokens});
  Real both(kTokens * 13);
  for (std::size_t i = 0; i < kTokens; ++i) {
    for (std::size_t j = 0; j < 10; ++j) both[i * 13 + 3 + j] += static_cast<double>(in.dy[i * 10 + j]);
    for (std::size_t j = 0; j < 2; ++j) both[i * 13 + 11 + j] += e.d_dt[i * 2 + j];
  }
  expect_near("gradient", wide.sink()->gradient().span(), both, 1e-5);
}

TEST(StateSpaceScan, ShowsWhatIsNoNumber) {
  const ScanCase c{2, 4, 1, 3};
  for (const bool in_dt : {false, true}) {
    Inputs in = inputs_of(c, 100);
    (in_dt ? in.dt[80] : in.xBC[static_cast<std::size_t>(40 * c.width())]) = std::numeric_limits<float>::quiet_NaN();
    const ScanResults fast = run_scan(c, in, {100});
    for (std::int64_t t = 40; t < 100; ++t) EXPECT_TRUE(std::isnan(fast.y[static_cast<std::size_t>(t * 8)])) << t;
  }
}

}  // namespace
}  // namespace qad::testing
