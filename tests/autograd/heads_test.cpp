// Heads that are put together from parts: what they hold, and that backward is the transpose of what forward does.
#include "autograd/ops/heads.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "autograd/ops/elementwise.h"
#include "tests/support/near.h"

namespace qad {
namespace {

constexpr std::int64_t kHeadTokens = 19, kHeads = 3, kWidth = 10;

Tensor normal_heads(const Shape& shape, std::uint64_t stream) {
  return Tensor::from(testing::normal_floats(shape.rows() * shape.cols(), 1.0, stream), shape);
}

double dot(const Tensor& a, const Tensor& b) {
  return std::inner_product(a.span().begin(), a.span().end(), b.span().begin(), 0.0, std::plus(),
                            [](float x, float y) { return static_cast<double>(x) * static_cast<double>(y); });
}

// A linear map A of the leaf: ⟨A·x, dy⟩ = ⟨x, Aᵀ·dy⟩; what it adds beside that of x is `constant`.
void expect_transpose(const std::function<Variable(Variable)>& map, const Shape& shape) {
  const Tensor x = normal_heads(shape, 1);
  const Variable leaf = Variable::leaf(x.clone());
  const Variable y = map(leaf);
  const Tensor dy = normal_heads(y.shape(), 2), value = y.value().clone();
  backward(y, dy.clone());
  EXPECT_NEAR(dot(value, dy), dot(x, leaf.sink()->gradient()), 1e-4);
}

std::shared_ptr<const std::vector<std::int32_t>> positions() {
  std::vector<std::int32_t> all(kHeadTokens);
  std::iota(all.begin(), all.end(), 3);
  return std::make_shared<const std::vector<std::int32_t>>(std::move(all));
}

RotaryTable table(std::int64_t half) {
  const RotaryTable rotary{Tensor({32, half}), Tensor({32, half})};
  for (std::int64_t i = 0; i < 32 * half; ++i) {
    const double angle = static_cast<double>(i / half) * (0.3 + static_cast<double>(i % half));
    rotary.cosines.data()[i] = static_cast<float>(1.2 * std::cos(angle));  // as yarn has it
    rotary.sines.data()[i] = static_cast<float>(1.2 * std::sin(angle));
  }
  return rotary;
}

TEST(Heads, APartStandsBeforeZeros) {
  const Tensor x = normal_heads({kHeadTokens, kHeads * kWidth}, 1);
  const Tensor y = head_part(Variable(x), kHeads, 2, 6, 5).value();
  for (std::int64_t t = 0; t < kHeadTokens; ++t)
    for (std::int64_t h = 0; h < kHeads; ++h)
      for (std::int64_t i = 0; i < 5; ++i)
        EXPECT_EQ(y.data()[(t * kHeads + h) * 5 + i], i < 4 ? x.data()[(t * kHeads + h) * kWidth + 2 + i] : 0.0f);
  expect_transpose([](Variable v) { return head_part(v, kHeads, 2, 6, 5); }, {kHeadTokens, kHeads * kWidth});
  expect_transpose([](Variable v) { return head_part(v, 1, 0, 7, 7); }, {kHeadTokens, kHeads * kWidth});
}

TEST(Heads, ASharedPartStandsInAllOfThem) {
  const Tensor x = normal_heads({kHeadTokens, kHeads * 4}, 1), part = normal_heads({kHeadTokens, 3}, 2);
  const Tensor y = share_head_part(head_part(Variable(x), kHeads, 0, 4, 9), Variable(part), kHeads, 5).value();
  for (std::int64_t t = 0; t < kHeadTokens; ++t)
    for (std::int64_t h = 0; h < kHeads; ++h)
      for (std::int64_t i = 0; i < 9; ++i) {
        const float expected = i < 4    ? x.data()[(t * kHeads + h) * 4 + i]
                               : i == 4 ? 0.0f
                               : i < 8  ? part.data()[t * 3 + i - 5]
                                        : 0.0f;
        EXPECT_EQ(y.data()[(t * kHeads + h) * 9 + i], expected);
      }
  const auto zeros = [] { return Variable(Tensor::zeros({kHeadTokens, kHeads * 9})); };
  expect_transpose([&](Variable v) { return share_head_part(zeros(), v, kHeads, 5); }, {kHeadTokens, 3});
  const auto nothing = [] { return Variable(Tensor::zeros({kHeadTokens, 3})); };
  expect_transpose([&](Variable v) { return share_head_part(head_part(v, kHeads, 0, 4, 9), nothing(), kHeads, 5); },
                   {kHeadTokens, kHeads * 4});
}

TEST(Heads, NeighboursTurn) {
  const Tensor x = normal_heads({kHeadTokens, kHeads * kWidth}, 1);
  const RotaryTable rotary = table(3);
  const Tensor y = rope_of_neighbours(Variable(x.clone()), kHeads, 6, positions(), rotary).value();
  for (std::int64_t t = 0; t < kHeadTokens; ++t)
    for (std::int64_t h = 0; h < kHeads; ++h) {
      const float *from = x.data() + (t * kHeads + h) * kWidth, *to = y.data() + (t * kHeads + h) * kWidth;
      for (std::int64_t i = 0; i < 4; ++i) EXPECT_EQ(to[i], from[i]);
      for (std::int64_t i = 0; i < 3; ++i) {
        const float c = rotary.cosines.data()[(t + 3) * 3 + i], s = rotary.sines.data()[(t + 3) * 3 + i];
        EXPECT_NEAR(to[4 + 2 * i], c * from[4 + 2 * i] - s * from[5 + 2 * i], 1e-6);
        EXPECT_NEAR(to[5 + 2 * i], c * from[5 + 2 * i] + s * from[4 + 2 * i], 1e-6);
      }
    }
  expect_transpose([&](Variable v) { return rope_of_neighbours(std::move(v), kHeads, 6, positions(), rotary); },
                   {kHeadTokens, kHeads * kWidth});
}

TEST(Scaled, ByAFactor) {
  const Tensor x = normal_heads({kHeadTokens, 4}, 1);
  const Tensor y = scaled(Variable(x.clone()), -1.5f).value();
  for (std::int64_t i = 0; i < x.size(); ++i) EXPECT_EQ(y.data()[i], -1.5f * x.data()[i]);
  expect_transpose([](Variable v) { return scaled(std::move(v), -1.5f); }, {kHeadTokens, 4});
}

}  // namespace
}  // namespace qad
