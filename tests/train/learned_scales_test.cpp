// Training of block scales, with the weights, before them or without them: they move, are saved, and a run that was
// killed gives the same bits.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/bytes.h"
#include "tests/support/error_of.h"
#include "tests/train/tiny_training.h"

namespace qad {
namespace {

using testing::TinyTraining;

struct LearnedTraining : TinyTraining {
  explicit LearnedTraining(BlockScales scales = BlockScales::dual_lsq) {
    quantize.scales = scales;
    quantize.input_ste = StraightThrough::through_scale;
  }
};

constexpr const char* kMasters = "model.layers.1.mlp.down_proj.weight.log2_scale";

TEST(LearnedTraining, TheStudentComesNearerAndScalesMoveWithTheirMoments) {
  for (const BlockScales scales : {BlockScales::lsq, BlockScales::dual_lsq}) {
    LearnedTraining training(scales);
    training.config.train.steps = 60;
    training.config.train.lr = 3e-4;
    training.config.evaluate.every = 0;
    training.run();
    EXPECT_LT(training.evaluations.back().figures.kl_mean, 0.85 * training.evaluations.front().figures.kl_mean);
    const CheckpointContent first = CheckpointFolder(training.folder / "checkpoints", 1).newest_whole()->content;
    const bool dual = scales == BlockScales::dual_lsq;
    for (const std::string& suffix :
         dual ? std::vector<std::string>{"_of_codes", "_of_values"} : std::vector{std::string()}) {
      const std::string name = kMasters + suffix;
      ASSERT_TRUE(first.tensors.contains("quantizer/" + name)) << name;
      EXPECT_GT(amax(first.tensors.at("adamw/second/" + name).data(), first.tensors.at("adamw/second/" + name).size()),
                0);
    }
  }
}

TEST(LearnedTraining, AKilledTrainingThatIsResumedEqualsOneThatNeverWas) {
  for (const BlockScales scales : {BlockScales::found, BlockScales::lsq, BlockScales::dual_lsq})
    testing::expect_killing_changes_nothing([&] {
      auto training = std::make_unique<LearnedTraining>(scales);
      if (scales == BlockScales::lsq) training->config.train.scale_steps = 3;
      if (scales != BlockScales::found) training->config.train.parameters = {{.role = Role::scale, .lr_factor = 5}};
      return training;
    });
}

TEST(LearnedTraining, ScalesMoveAloneInTheirFirstSteps) {
  for (const std::int64_t steps : {3, 4}) {
    LearnedTraining training;
    training.config.train.steps = steps;
    training.config.train.scale_steps = 3;
    training.run();
    const ParameterList after = training.student->parameters(), before = training.teacher->parameters();
    for (std::size_t i = 0; i < after.size(); ++i)
      EXPECT_EQ(testing::same_bits(after[i]->value(), before[i]->value().to(DType::f32)), steps == 3) << after[i]->name;
    const CheckpointContent content = training.newest();
    const Tensor moments = content.tensors.at(std::string("adamw/second/") + kMasters + "_of_values");
    EXPECT_GT(amax(moments.data(), moments.size()), 0);
  }
  TinyTraining without;
  without.config.train.scale_steps = 3;
  testing::expect_mentions(testing::error_of([&] { without.run(); }),
                           {"train.scale_steps: expected 0, or scales that are trained, got 3 steps without any"});
}

TEST(LearnedTraining, ScalesCanMoveWithoutAnythingElse) {
  LearnedTraining training;
  training.config.train.steps = 60;
  training.config.train.lr = 3e-4;
  training.config.evaluate.every = 0;
  training.config.train.parameters = {{.frozen = true}, {.role = Role::scale, .lr_factor = 10}};
  training.run();
  const ParameterList after = training.student->parameters(), before = training.teacher->parameters();
  for (std::size_t i = 0; i < after.size(); ++i)
    EXPECT_TRUE(testing::same_bits(after[i]->value(), before[i]->value().to(DType::f32))) << after[i]->name;
  EXPECT_LT(training.evaluations.back().figures.kl_mean, training.evaluations.front().figures.kl_mean);
  for (const auto& [name, tensor] : training.newest().tensors)
    EXPECT_TRUE(!name.starts_with("adamw/") || name.find(".log2_scale") != std::string::npos) << name;
}

TEST(LearnedTraining, RecomputedBlocksGiveTheSameBits) {
  testing::expect_recomputing_changes_nothing<LearnedTraining>();
}

}  // namespace
}  // namespace qad
