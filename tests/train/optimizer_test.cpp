// Schedules at their corners, and AdamW's first steps by hand.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "autograd/optim/adamw.h"
#include "autograd/optim/schedule.h"

namespace qad {
namespace {

TEST(Schedules, Constant) {
  const ScheduleConfig config{Schedule::constant, 2.0, 0.1, 0.2, 0, 10};
  for (const std::int64_t step : {1, 5, 10}) EXPECT_EQ(learning_rate(config, step), 2.0);
}

TEST(Schedules, WarmUpIsLinear) {
  for (const auto kind : {Schedule::constant, Schedule::cosine, Schedule::warmup_stable_decay}) {
    const ScheduleConfig config{kind, 2.0, 0.1, 0.2, 4, 20};
    EXPECT_EQ(learning_rate(config, 1), 0.5);
    EXPECT_EQ(learning_rate(config, 3), 1.5);
    EXPECT_EQ(learning_rate(config, 4), 2.0);
  }
}

TEST(Schedules, Cosine) {
  const ScheduleConfig config{Schedule::cosine, 2.0, 0.1, 0.2, 4, 20};
  EXPECT_EQ(learning_rate(config, 5), 2.0);
  EXPECT_DOUBLE_EQ(learning_rate(config, 13), 1.1);  // halfway: the mean of 2.0 and 0.2
  for (std::int64_t step = 6; step <= 20; ++step)
    EXPECT_LT(learning_rate(config, step), learning_rate(config, step - 1));
  EXPECT_DOUBLE_EQ(learning_rate(config, 20), 0.2 + 1.8 * 0.5 * (1 + std::cos(std::numbers::pi * 15 / 16)));
}

TEST(Schedules, WarmupStableDecay) {
  const ScheduleConfig config{Schedule::warmup_stable_decay, 2.0, 0.1, 0.25, 4, 20};
  EXPECT_EQ(learning_rate(config, 5), 2.0);
  EXPECT_EQ(learning_rate(config, 17), 2.0);  // the last quarter of 16 steps falls
  EXPECT_DOUBLE_EQ(learning_rate(config, 19), 1.1);
  EXPECT_DOUBLE_EQ(learning_rate(config, 20), 0.65);
}

TEST(Schedules, NoStepIsWasted) {
  for (const auto kind : {Schedule::cosine, Schedule::warmup_stable_decay}) {
    EXPECT_EQ(learning_rate({kind, 2.0, 0.0, 0.2, 0, 1}, 1), 2.0);
    EXPECT_GT(learning_rate({kind, 2.0, 0.0, 0.2, 4, 20}, 20), 0.0);
  }
}

// w ← w - lr·(m̂/(√v̂ + ε) + λ·w), in double.
struct ByHand {
  double weight, first = 0, second = 0;
  int updates = 0;
  void step(double gradient, double lr, const AdamWConfig& config, double decay) {
    ++updates;
    first = config.beta1 * first + (1 - config.beta1) * gradient;
    second = config.beta2 * second + (1 - config.beta2) * gradient * gradient;
    const double m = first / (1 - std::pow(config.beta1, updates)), v = second / (1 - std::pow(config.beta2, updates));
    weight -= lr * (m / (std::sqrt(v) + config.epsilon) + decay * weight);
  }
};

TEST(AdamWSteps, ByHandWithDecayOfMatricesOnly) {
  const AdamWConfig config{0.9, 0.95, 1e-8, 0.1};
  const ParameterPointer matrix = make_parameter("matrix", Tensor::full({1, 2}, 0.5f), true);
  const ParameterPointer norm = make_parameter("norm", Tensor::full({2}, 0.5f), true);
  norm->role = Role::norm;
  const ParameterPointer untouched = make_parameter("untouched", Tensor::full({2, 2}, 0.5f), true);
  AdamW optimizer(config, {matrix, norm, untouched});
  ByHand expected_matrix{0.5}, expected_norm{0.5};
  const std::uint64_t version = matrix->version();
  for (const double gradient : {0.3, -0.2, 0.05}) {
    for (const ParameterPointer& parameter : {matrix, norm})
      parameter->variable.sink()->give(Tensor::full(parameter->value().shape(), static_cast<float>(2 * gradient)));
    optimizer.step(0.01, 0.5);
    expected_matrix.step(gradient, 0.01, config, 0.1);
    expected_norm.step(gradient, 0.01, config, 0.0);
    EXPECT_NEAR(matrix->value().data()[1], expected_matrix.weight, 1e-6);
    EXPECT_NEAR(norm->value().data()[0], expected_norm.weight, 1e-6);
    EXPECT_FALSE(matrix->variable.sink()->gradient().defined());
  }
  EXPECT_EQ(optimizer.updates(), 3);
  EXPECT_EQ(matrix->version(), version + 3);
  EXPECT_EQ(untouched->value().data()[0], 0.5f);
  EXPECT_EQ(untouched->version(), version);
}

TEST(AdamWSteps, TheNormIsOverAllGradients) {
  const ParameterPointer a = make_parameter("a", Tensor::zeros({1, 1}), true);
  const ParameterPointer b = make_parameter("b", Tensor::zeros({1}), true);
  const ParameterPointer none = make_parameter("none", Tensor::zeros({1}), true);
  a->variable.sink()->give(Tensor::full({1, 1}, 3.0f));
  b->variable.sink()->give(Tensor::full({1}, -4.0f));
  EXPECT_EQ(gradient_norm({a, b, none}), 5.0);
  clear_gradients({a, b, none});
  EXPECT_EQ(gradient_norm({a, b, none}), 0.0);
}

}  // namespace
}  // namespace qad
