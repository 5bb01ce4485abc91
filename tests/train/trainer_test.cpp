// What the loop does beside stepping: it keeps the best, stops early, runs PTQ as no steps at all, and shows QAT the
// sequences that QAD sees.
#include "qad/train/trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "qad/train/evaluator.h"
#include "tests/train/tiny_training.h"

namespace qad {
namespace {

using testing::TinyTraining;

TEST(Trainer, TellsEveryStepAndEvaluatesWhenDue) {
  TinyTraining training;
  const RunFinished finished = training.run();
  EXPECT_EQ(finished.end, RunEnd::planned_steps);
  EXPECT_EQ(finished.step, 6);
  ASSERT_EQ(training.steps.size(), 6u);
  std::vector<std::int64_t> evaluated;
  for (const EvalDone& event : training.evaluations) evaluated.push_back(event.step);
  EXPECT_EQ(evaluated, (std::vector<std::int64_t>{0, 2, 4, 6}));
  EXPECT_EQ(finished.tokens, training.steps.back().tokens);
  EXPECT_EQ(training.steps[0].lr, 1.5e-3);  // half of the warm-up
  EXPECT_EQ(training.steps[1].lr, 3e-3);
}

TEST(Trainer, TheBestCheckpointIsTheOneWithTheLowestKl) {
  TinyTraining training;
  training.config.train.lr = 0.1;  // from bad to worse
  training.config.train.schedule = Schedule::constant;
  training.config.train.warmup_steps = 0;
  const RunFinished finished = training.run();
  const auto best =
      std::ranges::min_element(training.evaluations, {}, [](const EvalDone& event) { return event.figures.kl_mean; });
  EXPECT_EQ(finished.best_step, best->step);
  EXPECT_LT(finished.best_step, 6);
  EXPECT_EQ(finished.eval.kl_mean, best->figures.kl_mean);

  const CheckpointContent saved = load_checkpoint(training.folder / "checkpoints/best.h5");
  EXPECT_EQ(std::get<std::int64_t>(saved.numbers.at("step")), best->step);
  const RunState state = unpack(saved, {*training.student, training.quantizers, nullptr}, "best.h5");
  EXPECT_EQ(state.best_step, best->step);
  EXPECT_EQ(evaluate(*training.student, training.teacher.get(), training.evaluation).kl_mean, best->figures.kl_mean);
}

TEST(Trainer, GoesOnFromMastersThatGptqMoved) {
  testing::expect_killing_changes_nothing([] {
    auto training = std::make_unique<TinyTraining>();
    training->quantize.rules.front().algorithm = CalibrationKind::gptq;
    return training;
  });
}

TEST(Trainer, StopsEarlyWhenPatienceIsOver) {
  TinyTraining training;
  training.config.train.lr = 0.1;
  training.config.train.steps = 100;
  training.config.train.warmup_steps = 0;
  training.config.train.patience = 2;
  training.config.evaluate.every = 1;
  const RunFinished finished = training.run();
  EXPECT_EQ(finished.end, RunEnd::early_stop);
  EXPECT_EQ(finished.step, finished.best_step + 2);
  EXPECT_LT(finished.step, 100);
  const RunFinished again = training.run();  // resumed: it stays ended
  EXPECT_EQ(again.end, RunEnd::early_stop);
  EXPECT_EQ(again.step, finished.step);
  EXPECT_TRUE(training.steps.empty());
}

TEST(Trainer, DivergenceOfFiniteSizeEndsTheRun) {
  TinyTraining training;
  training.config.train.lr = 1000;
  training.config.train.warmup_steps = 0;
  training.config.evaluate.every = 2;
  const RunFinished finished = training.run();
  EXPECT_EQ(finished.end, RunEnd::diverged);
  EXPECT_EQ(finished.step, 2);
  EXPECT_EQ(finished.best_step, 0);
  EXPECT_EQ(finished.eval.kl_mean, finished.before.kl_mean);
  EXPECT_EQ(finished.before.kl_mean, training.evaluations.front().figures.kl_mean);
  EXPECT_NE(finished.reason.find("where guessing has 3.87"), std::string::npos) << finished.reason;  // ln 48
  EXPECT_EQ(training.run().end, RunEnd::diverged);  // resumed: it stays ended
  EXPECT_TRUE(training.steps.empty());
}

TEST(Trainer, DivergenceIsSeenInTheTrainingLossToo) {
  TinyTraining training;
  training.config.train.lr = 1000;
  training.config.train.warmup_steps = 0;
  training.config.train.steps = 60;
  training.config.evaluate.every = 0;
  const RunFinished finished = training.run();
  EXPECT_EQ(finished.end, RunEnd::diverged);
  EXPECT_LT(finished.step, 60);
  EXPECT_GE(finished.step, DivergenceRule::kStepsInARow);
  EXPECT_NE(finished.reason.find("20 steps in a row"), std::string::npos) << finished.reason;
}

TEST(Trainer, TheLimitOfDivergence) {
  const DivergenceRule rule({LossKind::kl}, 100);  // ln 100 = 4.605
  EXPECT_EQ(rule.at_evaluation(6.9, 0.1), "");
  EXPECT_NE(rule.at_evaluation(6.92, 0.1), "");
  EXPECT_EQ(rule.at_evaluation(12.0, 9.0), "");  // a start that was as bad
  EXPECT_TRUE(rule.is_beyond(7.0, 0.1));
  EXPECT_FALSE(rule.is_beyond(6.9, 0.1));
  EXPECT_FALSE(DivergenceRule({LossKind::logit_mse}, 100).is_beyond(1e9, 0.1));  // no nats
}

TEST(Trainer, PtqIsNoSteps) {
  TinyTraining training;
  training.config.train.steps = 0;
  const RunFinished finished = training.run();
  EXPECT_EQ(finished.step, 0);
  EXPECT_TRUE(training.steps.empty());
  ASSERT_EQ(training.evaluations.size(), 1u);
  EXPECT_GT(finished.eval.kl_mean, 0);
  EXPECT_EQ(finished.eval.kl_mean, evaluate(*training.student, training.teacher.get(), training.evaluation).kl_mean);
}

TEST(Trainer, QatSeesTheSequencesOfQadInTheirOrder) {
  // Document i is token i over and over. A token that was read has moved its row of the embedding.
  const auto read_after = [](LossKind kind, std::int64_t steps) {
    ModelConfig model = testing::tiny_model_config();
    model.tie_word_embeddings = false;
    TinyTraining training;
    training.teacher = TinyTraining::make_teacher(model);
    training.train = PackedSequences(testing::one_token_documents(40), Packing::documents, 32);
    training.config.loss.kind = kind;
    training.config.train.steps = steps;
    training.run();
    const Tensor moment = training.newest().tensors.at("adamw/first/model.embed_tokens.weight");
    std::set<std::int64_t> read;
    for (std::int64_t i = 0; i < moment.size(); ++i)
      if (moment.data()[i] != 0) read.insert(i / moment.cols());
    return read;
  };
  for (const std::int64_t steps : {1, 3}) {
    const auto read = read_after(LossKind::kl, steps);
    EXPECT_EQ(read.size(), static_cast<std::size_t>(4 * steps));
    EXPECT_EQ(read_after(LossKind::cross_entropy, steps), read);
  }
}

TEST(Trainer, DistillingBringsTheStudentBack) {
  TinyTraining training;
  training.config.train.steps = 40;
  training.config.train.lr = 5e-4;
  training.config.evaluate.every = 0;
  training.config.checkpoint.every = 0;
  training.run();
  EXPECT_LT(training.evaluations.back().figures.kl_mean, 0.9 * training.evaluations.front().figures.kl_mean);
}

TEST(Trainer, WithoutQuantizersTheStudentStartsAsTheTeacher) {
  TinyTraining training(testing::tiny_trainer_config(), QuantizeConfig{});
  training.run();
  EXPECT_TRUE(training.quantizers.empty());
  EXPECT_LT(training.evaluations.front().figures.kl_mean, 1e-9);
  EXPECT_EQ(training.evaluations.front().figures.top1_agreement, 1);
  EXPECT_EQ(training.steps.front().saturated_weights, 0);
  EXPECT_LT(training.steps.front().loss, 1e-9);
}

TEST(Trainer, ACheckpointOfAnotherModelIsRefused) {
  TinyTraining training;
  training.run();
  CheckpointContent content = training.newest();
  content.tensors.erase("model/model.layers.1.mlp.up_proj.weight");
  try {
    static_cast<void>(unpack(content, {*training.student, training.quantizers, nullptr}, "other.h5"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("up_proj"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("other.h5"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace qad
