// The tape itself: order, accumulation, scopes, recompute, and ops put together. The arithmetic of single kernels is
// proved in kernels_*_test.cpp.
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/base/parallel.h"
#include "autograd/base/random.h"
#include "autograd/nn/linear.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/embedding.h"
#include "autograd/ops/fused_linear_loss.h"
#include "autograd/ops/linear.h"
#include "autograd/ops/rms_norm.h"
#include "autograd/optim/adamw.h"

namespace qad {
namespace {

Tensor random_tensor(const Shape& shape, std::uint64_t stream, double scale = 1.0) {
  Tensor tensor(shape);
  Random random(7, stream);
  for (float& x : tensor.span()) x = static_cast<float>(scale * random.normal());
  return tensor;
}

std::vector<float> values(const Tensor& tensor) { return {tensor.span().begin(), tensor.span().end()}; }

TEST(Tape, ValueUsedTwiceGathersBothGradients) {
  const Variable x = Variable::leaf(Tensor::full({3}, 2.0f));
  backward(add(add(x, x), x), Tensor::full({3}, 0.5f));
  EXPECT_EQ(values(x.sink()->gradient()), std::vector<float>(3, 1.5f));
}

TEST(Tape, SharedGradientIsNotOverwrittenByAccumulation) {
  // d reaches a and b as the same storage; a's own use adds to a's gradient and must not change b's.
  const Variable a = Variable::leaf(Tensor::full({2}, 1.0f));
  const Variable b = Variable::leaf(Tensor::full({2}, 1.0f));
  backward(add(add(a, b), a), Tensor::full({2}, 1.0f));
  EXPECT_EQ(values(a.sink()->gradient()), std::vector<float>(2, 2.0f));
  EXPECT_EQ(values(b.sink()->gradient()), std::vector<float>(2, 1.0f));
}

TEST(Tape, ResultsAreWrittenOnlyOverWhatNobodyElseReads) {
  const Variable a = Variable::leaf(Tensor::full({2}, 1.0f));
  const Variable held(Tensor::full({2}, 2.0f));
  const Tensor unheld = Tensor::full({2}, 3.0f);
  EXPECT_EQ(values(add(a, held).value()), std::vector<float>(2, 3.0f));
  EXPECT_EQ(values(add(a, Variable(unheld)).value()), std::vector<float>(2, 4.0f));
  EXPECT_EQ(values(held.value()), std::vector<float>(2, 2.0f));
  EXPECT_EQ(values(unheld), std::vector<float>(2, 3.0f));  // the test still reads it

  // Backward too: the gate is read again after its gradient went back.
  const Variable gate = Variable::leaf(Tensor::full({2}, 0.5f));
  const Variable up = Variable::leaf(Tensor::full({2}, 4.0f));
  backward(swiglu(gate, up), Tensor::full({2}, 1.0f));
  EXPECT_EQ(values(gate.value()), std::vector<float>(2, 0.5f));
  EXPECT_EQ(values(up.value()), std::vector<float>(2, 4.0f));

  Variable temporary(Tensor::full({2}, 5.0f));
  const float* const place = temporary.value().data();
  EXPECT_EQ(add(a, std::move(temporary)).value().data(), place);
}

TEST(Tape, NoGradScopeRecordsNothing) {
  const Variable x = Variable::leaf(Tensor::full({2}, 1.0f));
  const NoGradScope no_grad;
  EXPECT_FALSE(add(x, x).needs_gradient());
}

TEST(Tape, ConstantsRecordNothing) {
  const Variable x(Tensor::full({2}, 1.0f));
  EXPECT_FALSE(add(x, x).needs_gradient());
}

TEST(Tape, LongChainNeedsNoRecursion) {
  const Variable x = Variable::leaf(Tensor::full({1}, 0.0f));
  const Variable one(Tensor::full({1}, 1.0f));
  Variable y = x;
  for (int i = 0; i < 20000; ++i) y = add(y, one);
  backward(y);
  EXPECT_EQ(x.sink()->gradient().item(), 1.0f);
}

TEST(Tape, BackwardFreesNodes) {
  const Variable x = Variable::leaf(Tensor::full({2}, 1.0f));
  const Variable y = add(x, x);
  backward(y);
  EXPECT_EQ(y.sink()->producer, nullptr);
}

// A small gated block with parameters, for the tests below.
struct Block {
  ParameterPointer norm = make_parameter("norm", Tensor::full({32}, 1.0f), true);
  LinearGroup gate_up{"gate_up",
                      {{"gate", make_parameter("gate", random_tensor({48, 32}, 1, 0.3), true), nullptr},
                       {"up", make_parameter("up", random_tensor({48, 32}, 2, 0.3), true), nullptr}},
                      nullptr};
  Linear down{"down", make_parameter("down", random_tensor({32, 48}, 3, 0.3), true),
              make_parameter("down.bias", random_tensor({32}, 4), true)};

  Variable operator()(const Variable& x) const {
    const std::vector<Variable> projected = gate_up(rms_norm(x, norm->operand(), 1e-6f));
    return add(x, down(swiglu(projected[0], projected[1])));
  }
  [[nodiscard]] ParameterList parameters() const {
    return {norm, gate_up.members[0].weight, gate_up.members[1].weight, down.weight, down.bias};
  }
};

TEST(Tape, RecomputeGivesTheSameBits) {
  const Tensor x = random_tensor({40, 32}, 9);
  const Tensor d = random_tensor({40, 32}, 10);
  const auto run = [&](bool again) {
    const Block block;
    const Variable leaf = Variable::leaf(x);
    const Variable y = again ? recompute([&](const Variable& v) { return block(v); }, leaf) : block(leaf);
    backward(y, d);
    std::vector<std::vector<float>> result = {values(y.value()), values(leaf.sink()->gradient())};
    for (const ParameterPointer& parameter : block.parameters())
      result.push_back(values(parameter->variable.sink()->gradient()));
    return result;
  };
  EXPECT_EQ(run(false), run(true));
}

// Ops read twice the value, and the gradient of it is twice that of what they read.
class Twice final : public OperandTransform {
 public:
  TransformResult apply(const Tensor& x, std::uint64_t /*version*/, Readers /*readers*/) override {
    const Tensor twice = x.clone();
    for (float& value : twice.span()) value *= 2.0f;
    return {operand_of(twice), {}, [](const Tensor& gradient) {
              for (float& value : gradient.span()) value *= 2.0f;
            }};
  }
};

TEST(ParameterOperand, EveryOpGoesThroughTheSlotForthAndBack) {
  const auto ids = std::make_shared<const std::vector<std::int32_t>>(std::vector<std::int32_t>{4, 0, 4});
  const auto run = [&](float factor, const TransformSlot& slot) {
    const auto parameter = [&](const Shape& shape, std::uint64_t seed) {
      const Tensor value = random_tensor(shape, seed);
      for (float& x : value.span()) x *= factor;
      const ParameterPointer result = make_parameter("p", value, true);
      result->slot = slot;
      return result;
    };
    const ParameterPointer table = parameter({9, 16}, 1), norm = parameter({16}, 2), weight = parameter({8, 16}, 3),
                           bias = parameter({8}, 4);
    const Variable x = rms_norm(embedding(ids, table->operand()), norm->operand(), 1e-6f);
    const Variable y = linear(x, weight->operand(), bias->operand());
    backward(y, random_tensor({3, 8}, 5));
    std::vector<std::vector<float>> result = {values(y.value())};
    for (const ParameterPointer& p : {table, norm, weight, bias}) {
      result.push_back(values(p->variable.sink()->gradient()));
      if (slot == nullptr)
        for (float& value : result.back()) value *= 2.0f;
    }
    return result;
  };
  EXPECT_EQ(run(1.0f, std::make_shared<Twice>()), run(2.0f, nullptr));
}

TEST(PanelProduct, FormsOfAWeightGiveTheSameBits) {
  const Tensor weight = random_tensor({2200, 1040}, 1).to(DType::bf16);  // two panels and a piece
  for (const std::int64_t tokens : {1, 33, 300}) {
    const Tensor x = random_tensor({tokens, 1040}, 2);
    EXPECT_EQ(values(times_transposed(x, *operand_of(weight))),
              values(times_transposed(x, *operand_of(weight.to(DType::f32)))))
        << tokens;
  }
}

TEST(Tape, RecomputeReachesParametersBehindAConstant) {
  const Block block;
  const Variable y = recompute([&](const Variable& v) { return block(v); }, Variable(random_tensor({8, 32}, 9)));
  backward(y);
  EXPECT_TRUE(block.down.weight->variable.sink()->gradient().defined());
}

TEST(Tape, BlockGradientMatchesCentralDifferences) {
  const Block block;
  const Tensor x = random_tensor({6, 32}, 9);
  const auto loss = [&] {
    const NoGradScope no_grad;
    double sum = 0;
    for (const float v : block(Variable(x)).value().span()) sum += static_cast<double>(v) * v / 2;
    return sum;
  };
  const Variable y = block(Variable(x));
  backward(y, y.value());
  for (const ParameterPointer& parameter : block.parameters()) {
    const Tensor gradient = parameter->variable.sink()->gradient();
    for (const std::int64_t index : {std::int64_t{0}, gradient.size() / 2, gradient.size() - 1}) {
      float& weight = parameter->value().data()[index];
      const float kept = weight;
      constexpr float kStep = 1e-2f;
      weight = kept + kStep;
      const double above = loss();
      weight = kept - kStep;
      const double below = loss();
      weight = kept;
      const double expected = (above - below) / (2 * static_cast<double>(kStep));
      EXPECT_NEAR(gradient.data()[index], expected, 5e-3 * std::max(1.0, std::fabs(expected))) << parameter->name;
    }
  }
}

// Loss and gradients of a head, for chunk sizes and thread counts.
struct HeadResult {
  double loss;
  std::vector<float> d_hidden, d_weight;
  bool operator==(const HeadResult&) const = default;
};

HeadResult head_result(kernels::RowLoss kind, std::size_t chunk_bytes, int thread_count) {
  set_threads(thread_count);
  const Variable hidden = Variable::leaf(random_tensor({100, 24}, 1));
  const Variable weight = Variable::leaf(random_tensor({67, 24}, 2));
  const TeacherHead teacher{Variable(random_tensor({100, 24}, 3)),
                            operand_of(random_tensor({67, 24}, 4).to(DType::bf16))};
  std::vector<std::int32_t> labels(100);
  std::vector<float> weights(100, 0.01f);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i % 67);
  weights[5] = 0.0f;
  const FusedLoss result =
      fused_linear_loss(hidden, weight, kind == kernels::RowLoss::cross_entropy ? nullptr : &teacher, labels, weights,
                        {kind, 1.5f, chunk_bytes});
  backward(result.loss);
  set_threads(0);
  return {result.value, values(hidden.sink()->gradient()), values(weight.sink()->gradient())};
}

TEST(FusedLinearLoss, SameBitsAtAnyThreadCount) {
  for (const auto kind : {kernels::RowLoss::kl_forward, kernels::RowLoss::kl_reverse, kernels::RowLoss::logit_mse,
                          kernels::RowLoss::cross_entropy})
    EXPECT_EQ(head_result(kind, 1 << 14, 1), head_result(kind, 1 << 14, 3));
}

TEST(FusedLinearLoss, ChunksChangeNothingButRounding) {
  for (const auto kind : {kernels::RowLoss::kl_forward, kernels::RowLoss::cross_entropy}) {
    const HeadResult whole = head_result(kind, 1 << 24, 2);
    const HeadResult chunked = head_result(kind, 1 << 12, 2);
    EXPECT_NEAR(whole.loss, chunked.loss, 1e-6 * std::fabs(whole.loss));
    for (std::size_t i = 0; i < whole.d_weight.size(); ++i)
      ASSERT_NEAR(whole.d_weight[i], chunked.d_weight[i], 1e-5) << i;
    for (std::size_t i = 0; i < whole.d_hidden.size(); ++i)
      ASSERT_NEAR(whole.d_hidden[i], chunked.d_hidden[i], 1e-6) << i;
  }
}

TEST(FusedLinearLoss, SkippedTokenHasNoGradient) {
  const HeadResult result = head_result(kernels::RowLoss::kl_forward, 1 << 14, 2);
  for (std::size_t c = 0; c < 24; ++c) EXPECT_EQ(result.d_hidden[5 * 24 + c], 0.0f);
}

TEST(AdamW, FirstStepMovesByTheLearningRate) {
  const ParameterPointer p = make_parameter("p", Tensor::full({4}, 1.0f), true);
  AdamW optimizer({0.9, 0.95, 1e-8, 0.0}, {p});
  p->variable.sink()->give(Tensor::full({4}, 0.3f));
  EXPECT_DOUBLE_EQ(gradient_norm({p}), 2 * static_cast<double>(0.3f));
  optimizer.step(1e-2, 1.0);
  for (const float x : p->value().span()) EXPECT_NEAR(x, 0.99f, 1e-6f);
  EXPECT_EQ(p->version(), 2u);
  EXPECT_FALSE(p->variable.sink()->gradient().defined());
}

TEST(Storage, StepsReuseMemory) {
  const auto step = [] {
    const Block block;
    const Variable y = block(Variable::leaf(random_tensor({64, 32}, 9)));
    backward(y);
  };
  step();
  step();
  const std::size_t before = storage_statistics().allocations;
  for (int i = 0; i < 5; ++i) step();
  EXPECT_EQ(storage_statistics().allocations, before);
}

}  // namespace
}  // namespace qad
