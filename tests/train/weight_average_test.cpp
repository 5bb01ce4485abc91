// The running average of what is trained: its formula, that it is what is evaluated and kept as best while training
// goes on from the masters, and that a killed run gives the same bits.
#include "autograd/optim/weight_average.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "qad/train/evaluator.h"
#include "tests/train/tiny_training.h"

namespace qad {
namespace {

using testing::TinyTraining;

bool same(const Tensor& a, const Tensor& b) { return std::ranges::equal(a.span(), b.span()); }

TrainerConfig averaged() {
  TrainerConfig config = testing::tiny_trainer_config();
  config.train.weight_ema = 0.75;
  return config;
}

TEST(WeightAverage, FollowsValuesByItsDecay) {
  const ParameterPointer parameter = make_parameter("w", Tensor::from(std::vector<float>{1, -2, 8}, {3}), true);
  WeightAverage average({parameter}, 0.75);
  average.start();
  double expected = 1;
  for (const float value : {5.0f, -3.0f, 0.5f}) {
    parameter->value().data()[0] = value;
    average.add();
    expected = 0.75 * expected + 0.25 * static_cast<double>(value);
    EXPECT_FLOAT_EQ(average.averages()[0].data()[0], static_cast<float>(expected));
    EXPECT_EQ(average.averages()[0].data()[1], -2.0f);
  }
  const std::uint64_t version = parameter->version();
  {
    const AveragedScope scope(average);
    EXPECT_FLOAT_EQ(parameter->value().data()[0], static_cast<float>(expected));
    EXPECT_GT(parameter->version(), version);
  }
  EXPECT_EQ(parameter->value().data()[0], 0.5f);
  EXPECT_GT(parameter->version(), version + 1);
  EXPECT_TRUE(WeightAverage({parameter}, 0).averages().empty());
}

TEST(WeightAverage, IsEvaluatedAndKeptAsBestWhileMastersGoOn) {
  TinyTraining plain, training(averaged());
  plain.run();
  training.run();
  const CheckpointContent masters = plain.newest(), both = training.newest();
  for (std::size_t i = 0; i < plain.steps.size(); ++i) EXPECT_EQ(plain.steps[i].loss, training.steps[i].loss);
  EXPECT_EQ(plain.evaluations[0].figures.kl_mean, training.evaluations[0].figures.kl_mean);
  EXPECT_NE(plain.evaluations[1].figures.kl_mean, training.evaluations[1].figures.kl_mean);
  for (const auto& [name, tensor] : masters.tensors) EXPECT_TRUE(same(both.tensors.at(name), tensor)) << name;
  const std::string weight = "model.layers.1.mlp.down_proj.weight";
  EXPECT_FALSE(same(both.tensors.at("average/" + weight), both.tensors.at("model/" + weight)));

  // Who loads the last checkpoint without its optimizer, to export it, has the average; best.h5 has nothing else.
  static_cast<void>(unpack(both, {*training.student, training.quantizers, nullptr}, "newest"));
  for (const ParameterPointer& parameter : training.student->parameters())
    EXPECT_TRUE(same(parameter->value(), both.tensors.at("average/" + parameter->name))) << parameter->name;
  const auto kl = [&] { return evaluate(*training.student, training.teacher.get(), training.evaluation).kl_mean; };
  EXPECT_EQ(kl(), training.evaluations.back().figures.kl_mean);
  const CheckpointContent best = CheckpointFolder(training.folder / "checkpoints", 1).best()->content;
  EXPECT_FALSE(best.tensors.contains("average/" + weight));
  const RunState state = unpack(best, {*training.student, training.quantizers, nullptr}, "best");
  EXPECT_EQ(kl(), state.best.kl_mean);
}

TEST(WeightAverage, BeginsWithTheMastersThatCalibrationMoved) {
  TinyTraining training;
  training.config.train.weight_ema = 0.9999999;
  training.quantize.rules.front().algorithm = CalibrationKind::gptq;
  training.run();
  const double before = training.evaluations.front().figures.kl_mean;
  EXPECT_NEAR(training.evaluations.back().figures.kl_mean, before, 1e-3 * before);
}

TEST(WeightAverage, AKilledTrainingThatIsResumedEqualsOneThatNeverWas) {
  for (const BlockScales scales : {BlockScales::amax, BlockScales::dual_lsq})
    testing::expect_killing_changes_nothing([&] {
      auto training = std::make_unique<TinyTraining>(averaged());
      training->quantize.scales = scales;
      return training;
    });
}

TEST(WeightAverage, OfScalesThatFollowTheDataIsResumedToo) {
  testing::expect_killing_changes_nothing([] {
    auto training = std::make_unique<TinyTraining>(averaged());
    training->quantize.tensor_scale.from = TensorScaleSource::data;
    return training;
  });
}

}  // namespace
}  // namespace qad
