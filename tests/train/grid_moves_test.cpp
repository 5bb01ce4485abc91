// The pull to the grid and the reset of weights that oscillate: by their formulas, in training, and after a kill.
#include "qad/train/grid_moves.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "qad/formats/quantize.h"
#include "tests/support/error_of.h"
#include "tests/train/tiny_training.h"

namespace qad {
namespace {

using testing::TinyTraining;

// A quantized model of which one weight is looked at. Its first block has the scale 2^-4.
class Grid : public ::testing::Test {
 protected:
  static constexpr float kScale = 0x1p-4f;

  Grid() {
    std::ranges::fill(weight_->value().span().first(16), 0.0f);
    weight_->value().data()[0] = 6 * kScale;
    calibrate(*model_, quantizers_, {testing::small_batch()});
    EXPECT_EQ(grid()[0], 6 * kScale);
  }
  [[nodiscard]] std::vector<float> grid() const {
    const QuantizedTensor& codes = linear_.weights->codes(weight_->value(), weight_->version());
    std::vector<float> values(static_cast<std::size_t>(weight_->value().size()));
    dequantize_rows(codes, 0, codes.rows, values.data());
    return values;
  }
  [[nodiscard]] std::vector<float> values() const {
    return {weight_->value().span().begin(), weight_->value().span().end()};
  }

  std::unique_ptr<LanguageModel> model_ = initialize_model(testing::small_config(), 3);
  QuantizerSet quantizers_ = attach_quantizers(*model_, testing::quantize_blocks("nvfp4", "nvfp4"));
  const LinearQuantizers& linear_ = quantizers_.linears().front();
  ParameterPointer weight_ = linear_.weight;
};

TEST_F(Grid, PullsAsMuchAsTheRateTimesItsStrengthWhichRisesOverTheLastSteps) {
  TrainConfig config;
  config.steps = 100;
  config.pull_to_grid = {.strength = 8, .begins = 0.75};
  GridMoves moves(config, quantizers_, model_->parameters());
  EXPECT_TRUE(moves.sums().empty());
  const std::vector<float> start = values();
  for (const auto& [step, strength] : {std::pair{1, 0.0}, {75, 0.0}, {76, 0.32}, {90, 4.8}, {100, 8.0}}) {
    const std::vector<float> before = values(), rounded = grid();
    moves.begin_step(step);
    bool moved = false;
    moves.around(*weight_, 0.05, [&] { weight_->changed(), moved = true; });
    EXPECT_TRUE(moved);
    for (std::size_t i = 0; i < before.size(); ++i)
      ASSERT_NEAR(weight_->value().data()[i], before[i] - 0.05 * strength * (before[i] - rounded[i]), 1e-7) << step;
    if (strength == 0) {
      EXPECT_EQ(values(), start);
    }
    EXPECT_EQ(moves.end_step(), 0);
  }
  const ParameterPointer norm = model_->parameters().back();
  const Tensor kept = norm->value().clone();
  moves.around(*norm, 0.05, [] {});
  EXPECT_TRUE(std::ranges::equal(norm->value().span(), kept.span()));
}

TEST_F(Grid, SetsWeightsThatFlipBetweenTwoCodesToOneOfThem) {
  TrainConfig config;
  config.steps = 20;
  config.oscillation_reset = {.window = 5, .ratio = 4, .begins = 0.5};
  GridMoves moves(config, quantizers_, model_->parameters());
  ASSERT_EQ(moves.sums().size(), 28u);
  const Tensor rounded_way = moves.sums().at("oscillation/rounded_way/" + weight_->name);
  float* const w = weight_->value().data();
  for (std::int64_t step = 1; step <= 15; ++step) {
    moves.begin_step(step);
    moves.around(*weight_, 1.0, [&] {
      w[1] = (step % 2 == 0 ? 2.49f : 2.51f) * kScale;                   // 2 or 3
      w[2] = (step % 2 == 0 ? 2.3f : 2.7f) * kScale;                     // too, but far
      w[3] = 0.9f * kScale + 0.01f * kScale * static_cast<float>(step);  // 1
      weight_->changed();
    });
    if (step > 11 && step < 15) {
      EXPECT_FLOAT_EQ(rounded_way.data()[1], static_cast<float>(step - 11 + 1) * kScale) << step;
    }
    const std::vector<float> before = values(), rounded = grid();
    EXPECT_EQ(moves.end_step(), step == 15 ? 1 : 0) << step;
    for (std::size_t i = 0; i < before.size(); ++i)
      ASSERT_EQ(values()[i], step == 15 && i == 1 ? rounded[i] : before[i]) << step << " " << i;
  }
  EXPECT_EQ(w[1], 3 * kScale);
  for (const auto& [name, sums] : moves.sums()) EXPECT_EQ(amax(sums.data(), sums.size()), 0.0f) << name;
}

TEST_F(Grid, WhatIsNotTrainedIsLeftAlone) {
  TrainConfig config;
  config.pull_to_grid.strength = 1;
  config.oscillation_reset.window = 1;
  EXPECT_TRUE(GridMoves(config, quantizers_, {}).sums().empty());
  EXPECT_TRUE(GridMoves({}, quantizers_, model_->parameters()).sums().empty());
}

TrainerConfig with_moves(double strength, std::int64_t window) {
  TrainerConfig config = testing::tiny_trainer_config();
  config.train.pull_to_grid = {.strength = strength, .begins = 0.3};
  config.train.oscillation_reset = {.window = window, .ratio = 1.5, .begins = 0.3};
  return config;
}

double distance_to_grid(TinyTraining& training) {
  double sum = 0;
  for (const LinearQuantizers& linear : training.quantizers.linears()) {
    if (linear.weights == nullptr) continue;
    const QuantizedTensor& codes = linear.weights->codes(linear.weight->value(), linear.weight->version());
    const Tensor values(linear.weight->value().shape());
    dequantize_rows(codes, 0, codes.rows, values.data());
    for (std::int64_t i = 0; i < values.size(); ++i)
      sum += std::abs(values.data()[i] - linear.weight->value().data()[i]);
  }
  return sum;
}

TEST(GridMoves, BringWeightsNearerToWhatTheyAreRoundedTo) {
  TinyTraining plain, pulled(with_moves(100, 0)), reset(with_moves(0, 2));
  for (TinyTraining* training : {&plain, &pulled, &reset}) training->run();
  EXPECT_LT(distance_to_grid(pulled), 0.9 * distance_to_grid(plain));
  EXPECT_LT(distance_to_grid(reset), distance_to_grid(plain));
  EXPECT_EQ(pulled.steps[1].loss, plain.steps[1].loss);  // before they begin
  EXPECT_NE(pulled.steps[5].loss, plain.steps[5].loss);
  EXPECT_NE(reset.steps[5].loss, plain.steps[5].loss);
}

TEST(GridMoves, AKilledTrainingThatIsResumedEqualsOneThatNeverWas) {
  for (const BlockScales scales : {BlockScales::amax, BlockScales::lsq})
    testing::expect_killing_changes_nothing([&] {
      auto training = std::make_unique<TinyTraining>(with_moves(50, 2));
      training->quantize.scales = scales;
      training->config.train.weight_ema = 0.5;
      return training;
    });
}

TEST(GridMoves, OfScalesThatFollowTheDataAreResumedToo) {
  testing::expect_killing_changes_nothing([] {
    auto training = std::make_unique<TinyTraining>(with_moves(50, 3));
    training->quantize.tensor_scale = {TensorScaleRound::none, TensorScaleSource::data};
    return training;
  });
}

TEST(GridMoves, ACheckpointOfARunWithoutThemIsRefused) {
  TinyTraining training(with_moves(0, 2));
  training.config.train.steps = 1;
  training.run();
  training.config.train.oscillation_reset.window = 0;
  testing::expect_mentions(testing::error_of([&] { training.run(); }),
                           {"expected no tensors but the model's, got oscillation/rounded_way/"});
}

}  // namespace
}  // namespace qad
