// A run that was killed or stopped anywhere and resumed is the run that never was, bit for bit; nor do threads or
// recomputing change a bit.
#include <gtest/gtest.h>

#include "autograd/base/profile.h"
#include "autograd/kernels/table.h"
#include "tests/train/tiny_training.h"

namespace qad {
namespace {

using testing::TinyTraining;

struct Killed {};

// Polls of an undisturbed run: one before each op of a forward or backward, and each batch.
int polls_of(TinyTraining& training) {
  int polls = 0;
  training.run([&] { return ++polls, false; });
  return polls;
}

class Resume : public ::testing::TestWithParam<LossKind> {
 protected:
  static TrainerConfig config() {
    TrainerConfig config = testing::tiny_trainer_config();
    config.loss.kind = GetParam();
    return config;
  }
  // More moments for the loss that matters most; an odd stride, so that they fall on ops of all kinds.
  static int stride(int polls) { return polls / (GetParam() == LossKind::kl ? 24 : 12) | 1; }
};

TEST_P(Resume, AfterAKillAtEveryMoment) {
  TinyTraining undisturbed(config());
  const int polls = polls_of(undisturbed);
  ASSERT_GT(polls, 30);
  for (int moment = 1; moment <= polls; moment += stride(polls)) {
    SCOPED_TRACE(moment);
    TinyTraining killed(config());
    int poll = 0;
    EXPECT_THROW(killed.run([&] { return ++poll == moment ? throw Killed() : false; }), Killed);
    EXPECT_EQ(killed.run().end, RunEnd::planned_steps);
    killed.expect_same(undisturbed);
    if (HasFailure()) break;
  }
}

TEST_P(Resume, AfterAStopAtEveryMomentWithTheStateSaved) {
  TinyTraining undisturbed(config());
  const int polls = polls_of(undisturbed);
  for (int moment = 1; moment <= polls; moment += stride(polls)) {
    SCOPED_TRACE(moment);
    TinyTraining stopped(config());
    int poll = 0;
    const RunFinished finished = stopped.run([&] { return ++poll >= moment; });
    EXPECT_EQ(finished.end, RunEnd::interrupted);
    EXPECT_EQ(std::get<std::int64_t>(stopped.newest().numbers.at("step")), finished.step);
    stopped.run();
    stopped.expect_same(undisturbed);
    if (HasFailure()) break;
  }
}

INSTANTIATE_TEST_SUITE_P(Losses, Resume, ::testing::Values(LossKind::kl, LossKind::cross_entropy),
                         [](const auto& loss) { return std::string(enum_name(loss.param)); });

TEST(ResumeOften, StoppedAndKilledInTurnAtEveryFewPolls) {
  TinyTraining undisturbed, disturbed;
  const int few = polls_of(undisturbed) / 8;  // more than one evaluation takes, which a stop begins anew
  // A stop saves, so every second start gets further; a kill falls inside what a pending evaluation repeats.
  bool kill = false;
  for (int starts = 0; starts < 60; ++starts) {
    int poll = 0;
    try {
      const auto finished = disturbed.run([&] {
        if (++poll < few) return false;
        return kill ? throw Killed() : true;
      });
      if (finished.end == RunEnd::planned_steps) break;
    } catch (const Killed&) {
    }
    kill = !kill;
  }
  disturbed.expect_same(undisturbed);
}

TEST(ResumeScales, WhereTheyFollowTheData) {
  QuantizeConfig quantize = testing::quantize_blocks("nvfp4", "nvfp4");
  quantize.tensor_scale = {TensorScaleRound::none, TensorScaleSource::data};
  quantize.kv_cache = "fp8";
  TinyTraining undisturbed(testing::tiny_trainer_config(), quantize);
  const int polls = polls_of(undisturbed);
  for (int moment = 3; moment <= polls; moment += polls / 12 | 1) {
    SCOPED_TRACE(moment);
    TinyTraining stopped(testing::tiny_trainer_config(), quantize);
    int poll = 0;
    stopped.run([&] { return ++poll >= moment; });
    stopped.run();
    stopped.expect_same(undisturbed);
  }
}

TEST(ResumeScales, SaturatedWeightsAreCountedAlike) {
  TrainerConfig config = testing::tiny_trainer_config();
  config.train.lr = 0.3;  // far enough that weights leave what their frozen scales can hold
  config.train.steps = 8;
  config.checkpoint.every = 2;
  TinyTraining undisturbed(config), killed(config);
  const int polls = polls_of(undisturbed);
  EXPECT_GT(undisturbed.steps.back().saturated_weights, 0);
  int poll = 0;
  EXPECT_THROW(killed.run([&] { return ++poll == polls / 2 ? throw Killed() : false; }), Killed);
  killed.run();
  killed.expect_same(undisturbed);
}

TEST(SameBits, WithAProfileWhichKnowsTheProducts) {
  TinyTraining plain, profiled;
  plain.run();
  const Profiler profiler;
  profiled.run();
  profiled.expect_same(plain);

  EXPECT_EQ(profiler.rounds(), 6);
  const auto flops = [&](std::string_view phase, std::string_view operation) {
    for (const ProfileRow& row : profiler.rows())
      if (row.phase == phase && row.operation == operation) return row.flops;
    ADD_FAILURE() << phase << ": no " << operation;
    return 0.0;
  };
  const ModelConfig config = testing::tiny_model_config();
  std::int64_t weights = 0;
  for (const LinearGroup* group : profiled.student->linear_groups())
    for (const Linear& member : group->members) weights += member.weight->value().size();
  const std::int64_t head = config.vocab_size * config.hidden_size;
  const double forward = flops("student", "integer product");
  const double head_forward = flops("head and loss", "gemm dX");
  EXPECT_GT(forward, 0);
  EXPECT_DOUBLE_EQ(forward / head_forward, static_cast<double>(weights - head) / static_cast<double>(head));
  EXPECT_EQ(flops("teacher", "gemm forward"), forward);
  EXPECT_EQ(flops("backward", "gemm dX"), forward);
  EXPECT_EQ(flops("backward", "gemm dW"), forward);
  EXPECT_EQ(flops("head and loss", "gemm forward"), 2 * head_forward);  // teacher and student
  EXPECT_EQ(flops("head and loss", "gemm dW"), head_forward);
}

TEST(SameBits, WithAnyThreadCountAndWithRecomputedBlocks) {
  TinyTraining expected;
  expected.run();
  for (const int count : {1, 2, 3}) {
    for (const auto checkpointing : {ActivationCheckpointing::none, ActivationCheckpointing::block}) {
      SCOPED_TRACE(count);
      TrainerConfig config = testing::tiny_trainer_config();
      config.train.activation_checkpointing = checkpointing;
      TinyTraining other(config);
      other.threads = count;
      other.run();
      testing::expect_same_checkpoint(expected.newest(), other.newest());
      ASSERT_EQ(expected.steps.size(), other.steps.size());
      for (std::size_t i = 0; i < expected.steps.size(); ++i) {
        EXPECT_EQ(expected.steps[i].loss, other.steps[i].loss);
        EXPECT_EQ(expected.steps[i].grad_norm, other.steps[i].grad_norm);
      }
    }
  }
}

}  // namespace
}  // namespace qad
