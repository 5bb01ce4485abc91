// Products of backward in BF16: both factors rounded, sums in FP32, whatever instructions the CPU has.
#include "autograd/tape/gradient_products.h"

#include <gtest/gtest.h>

#include "autograd/ops/fused_linear_loss.h"
#include "autograd/ops/linear.h"
#include "autograd/reference/gemm.h"
#include "tests/support/near.h"

namespace qad {
namespace {

constexpr std::int64_t kTokens = 70, kIn = 96, kOut = 130;

Tensor normal(const Shape& shape, std::uint64_t stream) {
  return Tensor::from(testing::normal_floats(shape.rows() * shape.cols(), 1.0, stream), shape);
}

std::vector<double> rounded(const Tensor& x) { return testing::doubles(x.to(DType::bf16).to(DType::f32).span()); }
std::vector<double> plain(const Tensor& x) { return testing::doubles(x.span()); }

struct Gradients {
  std::vector<float> dx, dw, db;
};

Gradients gradients(Precision precision, const Tensor& x, const Tensor& weight, const Tensor& dy) {
  const Variable input = Variable::leaf(x.clone()), w = Variable::leaf(weight.clone()),
                 bias = Variable::leaf(Tensor::zeros({kOut}));
  const Variable y = linear(input, w, bias);
  const GradientProductsScope scope(precision);
  backward(y, dy.clone());
  const auto of = [](const Variable& v) {
    const auto values = v.sink()->gradient().span();
    return std::vector<float>(values.begin(), values.end());
  };
  return {of(input), of(w), of(bias)};
}

TEST(GradientProducts, ThoseOfRoundedFactors) {
  const Tensor x = normal({kTokens, kIn}, 1), weight = normal({kOut, kIn}, 2), dy = normal({kTokens, kOut}, 3);
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    const auto factor = [&](const Tensor& tensor) {
      return precision == Precision::bf16 ? rounded(tensor) : plain(tensor);
    };
    const std::vector<double> a = factor(x), w = factor(weight), d = factor(dy);
    std::vector<double> dx(kTokens * kIn), dw(kOut * kIn), db(kOut);
    reference::gemm(false, false, kTokens, kIn, kOut, d.data(), kOut, w.data(), kIn, false, dx.data(), kIn);
    reference::gemm(true, false, kOut, kIn, kTokens, d.data(), kOut, a.data(), kIn, false, dw.data(), kIn);
    for (std::int64_t i = 0; i < kTokens * kOut; ++i)
      db[static_cast<std::size_t>(i % kOut)] += static_cast<double>(dy.data()[i]);
    const Gradients got = gradients(precision, x, weight, dy);
    testing::expect_near("dx", got.dx, dx, 1e-6);
    testing::expect_near("dw", got.dw, dw, 1e-6);
    testing::expect_near("db, which no product gives", got.db, db, 1e-6);
  }
}

// Gradients add up in FP32: the second of two equal ones doubles the first.
TEST(GradientProducts, AddUpInFp32) {
  const Tensor x = normal({kTokens, kIn}, 1), weight = normal({kOut, kIn}, 2), dy = normal({kTokens, kOut}, 3);
  const Gradients once = gradients(Precision::bf16, x, weight, dy);
  const Variable input = Variable::leaf(x.clone()), w = Variable::leaf(weight.clone());
  const GradientProductsScope scope(Precision::bf16);
  for (int time = 0; time < 2; ++time) backward(linear(input, w, {}), dy.clone());
  std::vector<double> twice_dx, twice_dw;
  for (const float value : once.dx) twice_dx.push_back(2.0 * static_cast<double>(value));
  for (const float value : once.dw) twice_dw.push_back(2.0 * static_cast<double>(value));
  testing::expect_near("dx", input.sink()->gradient().span(), twice_dx, 1e-6);
  testing::expect_near("dw", w.sink()->gradient().span(), twice_dw, 1e-6);
}

// Under a head that is the identity the gradient of its input is that of the logits, rounded.
TEST(GradientProducts, OfAFusedLossToo) {
  constexpr std::int64_t kVocabulary = 48;
  const Tensor hidden = normal({kTokens, kVocabulary}, 1);
  const Tensor identity = Tensor::zeros({kVocabulary, kVocabulary});
  for (std::int64_t i = 0; i < kVocabulary; ++i) identity.data()[i * kVocabulary + i] = 1.0f;
  const std::vector<std::int32_t> labels(kTokens, 5);
  const std::vector<float> weights(kTokens, 0.3f);
  const auto d_hidden = [&](Precision precision) {
    const GradientProductsScope scope(precision);
    const Variable x = Variable::leaf(hidden.clone()), head = Variable::leaf(identity.clone());
    backward(fused_linear_loss(x, head, nullptr, labels, weights, {kernels::RowLoss::cross_entropy, 1.0f, 1}).loss);
    return x.sink()->gradient();
  };
  const Tensor exact = d_hidden(Precision::fp32), got = d_hidden(Precision::bf16);
  EXPECT_EQ(testing::doubles(got.span()), rounded(exact));
  EXPECT_NE(plain(exact), rounded(exact));
}

TEST(GradientProducts, TheScopeEnds) {
  {
    const GradientProductsScope outer(Precision::bf16);
    { const GradientProductsScope inner(Precision::fp32); }
    EXPECT_EQ(gradient_products(), Precision::bf16);
  }
  EXPECT_EQ(gradient_products(), Precision::fp32);
}

}  // namespace
}  // namespace qad
