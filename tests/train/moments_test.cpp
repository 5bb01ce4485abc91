// AdamW's moments in BF16: chance that depends on place and update alone, so that runs give the same bits again. And
// moments in a file, which change nothing.
#include <gtest/gtest.h>

#include <algorithm>

#include "autograd/base/random.h"
#include "autograd/core/dry_run.h"
#include "autograd/optim/adamw.h"
#include "tests/support/error_of.h"
#include "tests/train/tiny_training.h"

namespace qad {
namespace {

using testing::TinyTraining;

Tensor noisy(const Shape& shape, std::uint64_t seed) {
  Random random(seed, 0);
  const Tensor values(shape);
  for (float& value : values.span()) value = static_cast<float>(random.normal());
  return values;
}

// Of parameters of one size, after `updates` updates with one gradient for all.
std::vector<AdamW::State> bf16_states(std::uint64_t seed, int updates, int parameters = 2) {
  ParameterList list;
  for (int i = 0; i < parameters; ++i)
    list.push_back(make_parameter(std::to_string(i), Tensor::full({300}, 0.5f), true));
  AdamW optimizer({.moments = Precision::bf16}, list, std::vector<AdamWOptions>(list.size()), seed);
  for (int update = 0; update < updates; ++update)
    optimizer.step(0.01, 1.0, std::vector<Tensor>(list.size(), noisy({300}, 1)));
  return optimizer.states();
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return std::ranges::equal(a.span<std::uint16_t>(), b.span<std::uint16_t>());
}

TEST(BF16Moments, AreRoundedByAChanceOfTheirOwn) {
  const auto states = bf16_states(7, 1);
  EXPECT_EQ(states[0].first.dtype(), DType::bf16);
  EXPECT_EQ(states[0].second.bytes(), 600u);
  EXPECT_TRUE(same_bits(states[0].first, bf16_states(7, 1)[0].first));
  EXPECT_FALSE(same_bits(states[0].first, bf16_states(8, 1)[0].first)) << "another seed";
  EXPECT_FALSE(same_bits(states[0].first, states[1].first)) << "another parameter";
  EXPECT_FALSE(same_bits(states[0].second, states[1].second));
  EXPECT_TRUE(same_bits(states[1].second, bf16_states(7, 1, 5)[1].second)) << "others beside it";
}

// After the second update from the first one's state: chance goes by the number of updates.
TEST(BF16Moments, GoOnFromWhatWasSaved) {
  const auto parameter = [] { return make_parameter("w", Tensor::full({300}, 0.5f), true); };
  const AdamWConfig config{.moments = Precision::bf16};
  AdamW whole(config, {parameter()}), first(config, {parameter()}), second(config, {parameter()}),
      wrong(config, {parameter()});
  for (const std::uint64_t seed : {1u, 2u}) whole.step(0.01, 1.0, {noisy({300}, seed)});
  first.step(0.01, 1.0, {noisy({300}, 1)});
  second.set_state(0, first.whole_states()[0]);
  second.set_updates(1);
  second.step(0.01, 1.0, {noisy({300}, 2)});
  EXPECT_TRUE(same_bits(second.states()[0].first, whole.states()[0].first));
  EXPECT_TRUE(same_bits(second.states()[0].second, whole.states()[0].second));
  wrong.set_state(0, first.whole_states()[0]);
  wrong.set_updates(7);
  wrong.step(0.01, 1.0, {noisy({300}, 2)});
  EXPECT_FALSE(same_bits(wrong.states()[0].first, whole.states()[0].first));
}

std::unique_ptr<TinyTraining> training_with(Precision moments) {
  auto training = std::make_unique<TinyTraining>();
  training->config.train.adamw.moments = moments;
  return training;
}

TEST(BF16Moments, AKilledTrainingThatIsResumedEqualsOneThatNeverWas) {
  testing::expect_killing_changes_nothing([] { return training_with(Precision::bf16); });
}

TEST(BF16Moments, TrainAsFP32OnesDo) {
  const auto fp32 = training_with(Precision::fp32), bf16 = training_with(Precision::bf16);
  for (const auto& training : {fp32.get(), bf16.get()}) {
    training->config.train.steps = 60;
    training->config.train.lr = 3e-4;
    training->config.evaluate.every = 0;
    training->run();
  }
  const double before = fp32->evaluations.front().figures.kl_mean, after = fp32->evaluations.back().figures.kl_mean;
  EXPECT_EQ(bf16->steps.front().loss, fp32->steps.front().loss);
  EXPECT_LT(after, 0.95 * before);
  EXPECT_NEAR(bf16->evaluations.back().figures.kl_mean, after, 0.1 * (before - after));
}

TEST(BF16Moments, AreNotMixedUpWithOthersInACheckpoint) {
  const auto training = training_with(Precision::fp32);
  training->run();
  training->config.train.adamw.moments = Precision::bf16;
  testing::expect_mentions(testing::error_of([&] { training->run(); }),
                           {"adamw/first/", "expected bf16, got f32 (was train.adamw.moments another?)"});
}

// A step, an evaluation and a checkpoint let go of memory; what is in the file is what would have been there.
TEST(MomentsInAFile, AreThoseInMemory) {
  for (const Precision moments : {Precision::fp32, Precision::bf16}) {
    const auto in_memory = training_with(moments), in_file = training_with(moments);
    in_file->config.train.adamw.moments_in = MomentsIn::file;
    in_file->config.folder = in_file->folder.path();
    in_memory->run();
    in_file->run();
    in_file->expect_same(*in_memory);
  }
}

// A run that is stopped may go on with its moments elsewhere.
TEST(MomentsInAFile, MayBeginInTheMiddleOfATraining) {
  const auto whole = training_with(Precision::bf16), moved = training_with(Precision::bf16);
  whole->run();
  moved->config.folder = moved->folder.path();
  EXPECT_EQ(moved->run([&] { return moved->steps.size() == 3; }).end, RunEnd::interrupted);
  moved->config.train.adamw.moments_in = MomentsIn::file;
  moved->run();
  moved->expect_same(*whole);
}

TEST(MomentsInAFile, WhileADryRunTakesNoDisk) {
  const DryRun dry;
  const ParameterPointer parameter = make_parameter("w", Tensor({1 << 20}), true);
  const AdamW optimizer({.moments_in = MomentsIn::file}, {parameter}, {{}}, 0, "nowhere");
  EXPECT_EQ(dry.held_bytes(), std::size_t{12} << 20);
}

}  // namespace
}  // namespace qad
