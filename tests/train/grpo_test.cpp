// Reinforcement learning: its gradient is that of the formula, rewards rise, and a run that was stopped, killed or
// given other threads has the same bits.
#include "qad/train/grpo.h"

#include <gtest/gtest.h>

#include <cmath>

#include "qad/loss/loss.h"
#include "qad/train/problem_prompts.h"
#include "tests/train/tiny_training.h"

namespace qad {
namespace {

TEST(GrpoAdvantages, AreDistancesFromTheGroupInItsDeviations) {
  const std::vector<double> advantages = group_advantages(std::vector{1.0, 0.0, 0.0, 1.0});
  EXPECT_NEAR(advantages[0], 1.0, 1e-3);
  EXPECT_NEAR(advantages[1], -1.0, 1e-3);
  EXPECT_EQ(group_advantages(std::vector{0.1, 0.1, 0.1}), (std::vector{0.0, 0.0, 0.0}));
}

TEST(GrpoTermOfAToken, TheWeightIsTheSlopeOfTheLoss) {
  GrpoConfig config;
  config.kl_weight = 0.3;
  int clipped = 0;
  for (const double advantage : {-1.5, -0.2, 0.7})
    for (const double ratio : {0.5, 0.79, 0.81, 1.0, 1.27, 1.29, 2.0})
      for (const double reference : {-1.0, -2.0}) {
        const double old = -1.3, current = old + std::log(ratio), step = 1e-6;
        const auto loss = [&](double at) { return grpo_term(config, advantage, at, old, reference).loss; };
        const double slope = (loss(current + step) - loss(current - step)) / (2 * step);
        EXPECT_NEAR(grpo_term(config, advantage, current, old, reference).weight, -slope, 1e-6) << advantage << ratio;
        const bool is_clipped = advantage > 0 ? ratio > 1.28 : ratio < 0.8;
        const double from_reward = grpo_term(config, advantage, current, old, current).weight;
        EXPECT_NEAR(from_reward, is_clipped ? 0.0 : advantage * ratio, 1e-12);
        clipped += is_clipped;
      }
  EXPECT_GT(clipped, 0);
  EXPECT_EQ(kl_estimate(-1.0, -1.0), 0.0);
  EXPECT_GT(kl_estimate(-1.0, -2.0), 0.0);
}

TEST(GrpoGradientOfAModel, IsThatOfTheObjective) {
  const auto model = trainable_copy(*testing::TinyTraining::make_teacher(testing::tiny_model_config()));
  const PackedSequences sequences(testing::ragged_documents(6, 3), Packing::documents, 64);
  GrpoBatch batch{sequences.batch(0, sequences.count()), {}, {}, {}};
  const std::size_t tokens = batch.tokens.ids.size();
  const std::int64_t count = counted_tokens({LossKind::cross_entropy}, batch.tokens);
  GrpoConfig config;
  config.kl_weight = 0.1;
  const auto current = [&] {
    const NoGradScope no_grad;
    std::vector<double> values =
        weighted_loss({LossKind::cross_entropy}, *model, nullptr, batch.tokens, std::vector<float>(tokens, 1.0f)).rows;
    for (double& value : values) value = -value;
    return values;
  };
  Random random(1, stream_of("grpo"));
  batch.old = batch.reference = current();
  for (std::size_t t = 0; t < tokens; ++t) {
    batch.advantage.push_back(random.normal());
    batch.old[t] += 0.3 * random.normal();  // ratios on both sides of the limits
    batch.reference[t] += 0.3 * random.normal();
  }
  const GrpoGradient gradient = grpo_gradient(config, batch, current(), count);
  backward(weighted_loss({LossKind::cross_entropy}, *model, nullptr, batch.tokens, gradient.weights).loss);

  for (const ParameterPointer& parameter : model->parameters()) {
    const Tensor slope = parameter->variable.sink()->take();
    ASSERT_TRUE(slope.defined()) << parameter->name;
    double norm = 0;
    for (const float value : slope.span()) norm += static_cast<double>(value) * static_cast<double>(value);
    norm = std::sqrt(norm);
    // Along the gradient the objective rises by its norm.
    const Tensor kept = parameter->value().clone();
    const auto loss_at = [&](double distance) {
      for (std::int64_t i = 0; i < kept.size(); ++i)
        parameter->value().data()[i] =
            kept.data()[i] + static_cast<float>(distance * static_cast<double>(slope.data()[i]) / norm);
      parameter->changed();
      return grpo_gradient(config, batch, current(), count).loss;
    };
    const double step = 2e-3;
    EXPECT_NEAR((loss_at(step) - loss_at(-step)) / (2 * step), norm, 0.03 * norm) << parameter->name;
    (void)loss_at(0);
  }
}

// The more often an answer says one token, the better.
class OneTokenPrompts final : public RewardedPrompts {
 public:
  [[nodiscard]] std::vector<std::int32_t> prompt(std::int64_t index) const override {
    return {static_cast<std::int32_t>(2 + index % 5), static_cast<std::int32_t>(9 + index % 3)};
  }
  [[nodiscard]] Reward reward(std::int64_t, std::span<const std::int32_t> answer, bool) const override {
    const auto count = static_cast<double>(std::ranges::count(answer, 7));
    return {count / kLength, count == kLength};
  }
  static constexpr std::int64_t kLength = 6;
};

// As TinyTraining: every call of run() is a new process.
class GrpoTraining {
 public:
  GrpoTraining() {
    ModelConfig model = testing::tiny_model_config();
    model.eos_token_id = {0};
    reference = testing::TinyTraining::make_teacher(model);
    grpo.prompts = 4;
    grpo.group_size = 4;
    grpo.max_new_tokens = OneTokenPrompts::kLength;
    config = testing::tiny_trainer_config();
    config.loss.kind = LossKind::cross_entropy;
    config.best_is_last = true;
    config.train.steps = 4;
  }

  RunFinished run(const std::function<bool()>& stop = {}) {
    set_threads(threads);
    steps.clear();
    const auto student = trainable_copy(*reference);
    QuantizerSet quantizers = attach_quantizers(*student, {});
    CheckpointFolder checkpoints(folder / "checkpoints", config.checkpoint.keep);
    MetricsLog metrics(folder / "metrics.jsonl");
    Recorder recorder(*this);
    RunListeners listeners;
    listeners.add(metrics);
    listeners.add(recorder);
    GrpoStage stage({grpo, config.train, 24, 3}, *student, *reference, prompts);
    Trainer trainer(config, {*student, nullptr, quantizers, &stage, evaluation, checkpoints, listeners, "recipe"});
    if (const auto found = checkpoints.newest_whole()) trainer.restore(found->content, found->file.string());
    RunStarted started;
    started.first_step = trainer.state().step;
    started.evaluation_pending = trainer.state().evaluation_pending;
    listeners.run_started(started);
    const StopQuestion question(stop);
    return trainer.run();
  }
  void expect_same(const GrpoTraining& other) const {
    testing::expect_same_checkpoints(folder / "checkpoints", other.folder / "checkpoints");
    EXPECT_EQ(testing::metrics_but_timings(folder / "metrics.jsonl"),
              testing::metrics_but_timings(other.folder / "metrics.jsonl"));
  }

  TrainerConfig config;
  GrpoConfig grpo;
  OneTokenPrompts prompts;
  int threads = 1;
  std::unique_ptr<LanguageModel> reference;
  std::vector<TokenBatch> evaluation{
      PackedSequences(testing::ragged_documents(12, 2), Packing::documents, 32).batch(0, 3)};
  testing::TemporaryFolder folder;
  std::vector<StepDone> steps;

 private:
  class Recorder final : public RunListener {
   public:
    explicit Recorder(GrpoTraining& into) : into_(into) {}
    void step_done(const StepDone& event) override { into_.steps.push_back(event); }

   private:
    GrpoTraining& into_;
  };
};

TEST(Grpo, RewardsRise) {
  GrpoTraining training;
  training.grpo.prompts = training.grpo.group_size = 8;
  training.config.train.steps = 30;
  training.config.train.lr = 1e-2;
  training.config.evaluate.every = 0;
  const RunFinished finished = training.run();
  EXPECT_EQ(finished.skipped_steps, 0);
  EXPECT_EQ(finished.best_step, 30);
  const RolloutFigures first = *training.steps.front().rollout, last = *training.steps.back().rollout;
  EXPECT_LT(first.reward, 0.2);
  EXPECT_GT(last.reward, 0.6);
  EXPECT_NEAR(first.kl, 0, 1e-5);  // the model is its own reference still
  EXPECT_GT(last.kl, 0.01);
  EXPECT_LE(last.length, OneTokenPrompts::kLength);
  EXPECT_LE(training.steps.front().tokens, 8 * 8 * OneTokenPrompts::kLength);
}

TEST(Grpo, ALargeWeightOfTheKlKeepsTheModelWhereItWas) {
  GrpoTraining free, held;
  for (GrpoTraining* training : {&free, &held}) {
    training->config.train.steps = 12;
    training->config.train.lr = 1e-2;
  }
  held.grpo.kl_weight = 5;
  free.run();
  held.run();
  const auto last_kl = [](const GrpoTraining& training) {  // of a step that learned: others measure none
    double kl = -1;
    for (const StepDone& step : training.steps)
      if (!std::isnan(step.rollout->kl)) kl = step.rollout->kl;
    return kl;
  };
  EXPECT_GE(last_kl(held), 0);
  EXPECT_LT(last_kl(held), 0.3 * last_kl(free));
}

TEST(Grpo, GroupsOfOneMindChangeNothing) {
  GrpoTraining training;
  training.prompts = {};
  training.grpo.temperature = 1e-6;  // all answers to a prompt are the same
  const RunFinished finished = training.run();
  EXPECT_EQ(finished.skipped_steps, 0);
  EXPECT_EQ(finished.tokens, 0);
  EXPECT_EQ(training.steps.back().rollout->learned_from, 0);
  EXPECT_EQ(training.steps.back().loss, 0);
}

struct KilledRollout {};

class GrpoResume : public ::testing::TestWithParam<std::int64_t> {
 protected:
  // With several updates a step, what was done of a stopped one is taken back.
  static void set_up(GrpoTraining& training) {
    training.grpo.mini_batches = GetParam();
    training.grpo.epochs = GetParam();
  }
};

TEST_P(GrpoResume, AfterAKillOrAStopAtEveryMoment) {
  GrpoTraining undisturbed;
  set_up(undisturbed);
  int polls = 0;
  undisturbed.run([&] { return ++polls, false; });
  ASSERT_GT(polls, 20);
  for (int moment = 1; moment <= polls; moment += polls / 16 | 1) {  // odd and even in turn
    SCOPED_TRACE(moment);
    GrpoTraining disturbed;
    set_up(disturbed);
    int poll = 0;
    if (moment % 2 == 0)
      EXPECT_THROW(disturbed.run([&] { return ++poll == moment ? throw KilledRollout() : false; }), KilledRollout);
    else EXPECT_EQ(disturbed.run([&] { return ++poll >= moment; }).end, RunEnd::interrupted);
    EXPECT_EQ(disturbed.run().end, RunEnd::planned_steps);
    disturbed.expect_same(undisturbed);
    if (HasFailure()) break;
  }
}

INSTANTIATE_TEST_SUITE_P(UpdatesAStep, GrpoResume, ::testing::Values(1, 2));

TEST(Grpo, AnyThreadCountGivesTheSameBits) {
  GrpoTraining one;
  one.run();
  for (const int threads : {2, 3}) {
    GrpoTraining other;
    other.threads = threads;
    other.run();
    other.expect_same(one);
  }
}

TEST(ProblemPrompts, RewardWhatIsRightAndEnded) {
  const auto tokenizer = load_tokenizer("bytes");
  GrpoConfig config;
  config.families = {ProblemFamily::symbols, ProblemFamily::arithmetic};
  config.first = 5;
  config.seed = 4;
  config.reward_wrong = -0.5;
  config.reward_cut = -1;
  const ProblemPrompts prompts(config, *tokenizer);
  const WorkedProblem problem = make_problem(ProblemFamily::arithmetic, ProblemSplit::train, 4, 7);
  EXPECT_EQ(tokenizer->decode(prompts.prompt(2)), problem.prompt);
  EXPECT_EQ(prompts.prompt(2).front(), 256);  // as documents begin
  EXPECT_NE(prompts.prompt(2).back(), 257);
  const std::vector<std::int32_t> answer = tokenizer->encode(problem.solution, false);
  EXPECT_EQ(prompts.reward(2, answer, false).value, 1);
  EXPECT_TRUE(prompts.reward(2, answer, false).right);
  EXPECT_EQ(prompts.reward(2, answer, true).value, -1);
  EXPECT_EQ(prompts.reward(2, {}, false).value, -0.5);
}

}  // namespace
}  // namespace qad
