// One step: the same loss, gradient and tokens however it is cut into micro-batches; means over the tokens that count;
// what happens when a number is not finite; memory.
#include "qad/train/step.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/base/error.h"
#include "autograd/core/storage.h"
#include "tests/train/tiny_training.h"

namespace qad {
namespace {

using testing::TinyTraining;

// A step's loss and gradients, with the batch cut into pieces of `micro` sequences.
struct Gradients {
  double loss = 0;
  std::vector<std::int32_t> tokens;
  std::vector<Tensor> values;
};

Gradients gradients_of(TinyTraining& training, LossKind kind, std::int64_t micro) {
  const LossConfig loss{kind};
  training.student = trainable_copy(*training.teacher);
  training.quantizers = attach_quantizers(*training.student, training.quantize);
  if (!training.quantizers.empty())
    calibrate(*training.student, training.quantizers, training.evaluation, {TensorScaleSource::calibration});
  Loader loader(training.train, DataOrder::shuffled, 3);
  std::vector<TokenBatch> batches;
  for (std::int64_t done = 0; done < 8; done += micro) batches.push_back(loader.next(std::min(micro, 8 - done)));
  std::int64_t counted = 0;
  Gradients result;
  for (const TokenBatch& batch : batches) {
    counted += counted_tokens(loss, batch);
    result.tokens.insert(result.tokens.end(), batch.ids.begin(), batch.ids.end());
  }
  for (const TokenBatch& batch : batches) {
    const FusedLoss part = batch_loss(loss, *training.student, training.teacher.get(), batch, counted);
    result.loss += part.value;
    backward(part.loss);
  }
  for (const ParameterPointer& parameter : training.student->parameters())
    result.values.push_back(parameter->variable.sink()->take());
  return result;
}

class MicroBatches : public ::testing::TestWithParam<LossKind> {};

TEST_P(MicroBatches, ChangeNothingButRounding) {
  TinyTraining training;
  const Gradients whole = gradients_of(training, GetParam(), 8);
  EXPECT_GT(whole.loss, 0);
  for (const std::int64_t micro : {1, 3}) {
    SCOPED_TRACE(micro);
    const Gradients parts = gradients_of(training, GetParam(), micro);
    EXPECT_EQ(parts.tokens, whole.tokens);
    EXPECT_NEAR(parts.loss, whole.loss, 1e-6 * whole.loss);
    ASSERT_EQ(parts.values.size(), whole.values.size());
    for (std::size_t i = 0; i < whole.values.size(); ++i) {
      double difference = 0, norm = 0;
      for (std::int64_t j = 0; j < whole.values[i].size(); ++j) {
        difference += std::pow(parts.values[i].data()[j] - whole.values[i].data()[j], 2);
        norm += std::pow(whole.values[i].data()[j], 2);
      }
      EXPECT_LE(std::sqrt(difference), 1e-5 * std::sqrt(norm)) << training.student->parameters()[i]->name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Losses, MicroBatches,
                         ::testing::Values(LossKind::kl, LossKind::kl_reverse, LossKind::logit_mse,
                                           LossKind::cross_entropy),
                         [](const auto& loss) { return std::string(enum_name(loss.param)); });

TEST(Step, TheMeanIsOverTheTokensThatCountInTheWholeStep) {
  TinyTraining training;
  Loader loader(training.train, DataOrder::shuffled, 3);
  const TokenBatch batch = loader.next(4);
  std::int64_t labels = 0;
  for (const std::int32_t label : batch.labels) labels += label != kNoLabel;
  ASSERT_LT(labels, batch.size());  // prompts and last tokens have none
  EXPECT_EQ(counted_tokens({LossKind::kl}, batch), batch.size());
  EXPECT_EQ(counted_tokens({LossKind::cross_entropy}, batch), labels);

  const auto student = trainable_copy(*training.teacher);
  const FusedLoss loss = batch_loss({LossKind::cross_entropy}, *student, nullptr, batch, labels);
  double sum = 0;
  for (std::size_t token = 0; token < batch.labels.size(); ++token)
    if (batch.labels[token] != kNoLabel) sum += loss.rows[token];
  EXPECT_NEAR(loss.value, sum / static_cast<double>(labels), 1e-6 * loss.value);

  TokenBatch masked = batch;
  for (std::size_t token = 0; token < masked.valid.size(); token += 2) masked.valid[token] = 0;
  EXPECT_EQ(counted_tokens({LossKind::kl}, masked), batch.size() / 2);
}

// Along its own direction the gradient is what the loss does.
TEST(Step, HiddenStatesThatAreFarFromTheTeachersAddToLossAndGradient) {
  TinyTraining training;
  const auto student = trainable_copy(*training.teacher);
  Random random(3, stream_of("noise"));
  for (const ParameterPointer& parameter : student->parameters())
    for (float& value : parameter->value().span()) value += static_cast<float>(0.02 * random.normal());
  const TokenBatch batch = training.train.batch(0, 4);
  LossConfig loss{LossKind::kl};
  const auto value_of = [&] { return batch_loss(loss, *student, training.teacher.get(), batch, batch.size()).value; };
  const double kl = value_of();
  loss.hidden_weight = 0.5;
  const double half = value_of();
  loss.hidden_weight = 1.0;
  EXPECT_GT(half, 1.05 * kl);
  EXPECT_NEAR(value_of(), 2 * half - kl, 1e-5 * half);

  clear_gradients(student->parameters());  // the head has some already
  const FusedLoss whole = batch_loss(loss, *student, training.teacher.get(), batch, batch.size());
  EXPECT_FLOAT_EQ(whole.loss.value().item(), static_cast<float>(whole.value));
  backward(whole.loss);
  double squares = 0;
  std::vector<Tensor> gradients;
  for (const ParameterPointer& parameter : student->parameters()) {
    gradients.push_back(parameter->variable.sink()->take());
    for (const float value : gradients.back().span()) squares += static_cast<double>(value) * value;
  }
  const ParameterList parameters = student->parameters();
  const auto go = [&](double distance) {
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      const ParameterPointer& parameter = parameters[i];
      for (std::int64_t j = 0; j < gradients[i].size(); ++j)
        parameter->value().data()[j] += static_cast<float>(distance) * gradients[i].data()[j];
      parameter->changed();
    }
  };
  const double step = 2e-4 / std::sqrt(squares);
  go(step);
  const double ahead = value_of();
  go(-2 * step);
  EXPECT_NEAR((ahead - value_of()) / (2 * step), squares, 0.01 * squares);
}

TEST(Step, NothingToLearnFromIsSkipped) {
  TinyTraining training;
  TokenBatch batch = training.train.batch(0, 1);
  std::fill(batch.labels.begin(), batch.labels.end(), kNoLabel);
  const auto student = trainable_copy(*training.teacher);
  AdamW optimizer({}, student->parameters());
  const StepResult result = train_step({}, {LossKind::cross_entropy}, 1, *student, nullptr, optimizer, {batch});
  EXPECT_TRUE(result.skipped);
  EXPECT_EQ(result.tokens, 0);
  EXPECT_EQ(optimizer.updates(), 0);
}

TEST(Step, GradientsAreClippedToTheirNorm) {
  for (const double clip : {0.0, 1e-3}) {
    TinyTraining training;
    training.config.train.clip_norm = clip;
    training.config.train.steps = 1;
    training.run();
    EXPECT_GT(training.steps.at(0).grad_norm, 1e-2);  // told as it was
    // After one update the first moment is (1-beta1)·gradient: its norm tells what the optimizer saw.
    double squares = 0;
    for (const auto& [name, tensor] : training.newest().tensors)
      if (name.starts_with("adamw/first/"))
        for (const float value : tensor.span()) squares += std::pow(value / (1 - training.config.train.adamw.beta1), 2);
    const double expected = clip > 0 ? clip : training.steps.at(0).grad_norm;
    EXPECT_NEAR(std::sqrt(squares), expected, 1e-4 * expected);
  }
}

// The teacher's state is infinite wherever it reads the token that only this sequence of the text has.
void poison_teacher(TinyTraining& training, const std::vector<std::int64_t>& sequences) {
  constexpr std::int32_t kPoison = 47;
  ModelConfig model = testing::tiny_model_config();
  model.tie_word_embeddings = false;  // else every logit of the token would be infinite
  training.teacher = TinyTraining::make_teacher(model);
  training.order = DataOrder::sequential;
  training.config.train.batch_size = 1;
  training.config.train.micro_batch_size = 0;
  Documents documents = testing::one_token_documents(20);
  for (const std::int64_t i : sequences) documents.ids[static_cast<std::size_t>(32 * i + 9)] = kPoison;
  training.train = PackedSequences(documents, Packing::documents, 32);
  training.evaluation = {training.train.batch(15, 20)};
  // The student is copied from a clean one: only the teacher is ill.
  const auto clean = std::shared_ptr<LanguageModel>(trainable_copy(*training.teacher));
  training.perturb_student = [clean](LanguageModel& student) {
    for (std::size_t i = 0; i < student.parameters().size(); ++i)
      student.parameters()[i]->value().copy_from(clean->parameters()[i]->value());
  };
  Parameter& embedding = *training.teacher->parameters().front();
  const Tensor poisoned = embedding.value().clone();  // the teacher's own weights are its file
  ASSERT_EQ(poisoned.shape()[0], 48);
  std::fill_n(poisoned.data<std::uint16_t>() + kPoison * poisoned.cols(), poisoned.cols(), std::uint16_t{0x7f80});
  embedding.variable = Variable(poisoned);
}

TEST(NonFinite, AStepIsSkippedAndCounted) {
  TinyTraining training;
  poison_teacher(training, {1, 3, 4});
  training.config.evaluate.every = 0;
  training.config.train.max_skipped_steps = 3;
  const RunFinished finished = training.run();
  EXPECT_EQ(finished.step, 6);
  EXPECT_EQ(finished.skipped_steps, 3);
  for (const StepDone& step : training.steps) {
    EXPECT_EQ(step.skipped, step.step == 2 || step.step == 4 || step.step == 5) << step.step;
    EXPECT_EQ(std::isfinite(step.loss), !step.skipped);
  }
  const CheckpointContent content = training.newest();
  EXPECT_EQ(std::get<std::int64_t>(content.numbers.at("adamw.updates")), 3);
  for (const auto& [name, tensor] : content.tensors)
    for (const float value : tensor.span()) ASSERT_TRUE(std::isfinite(value)) << name;
}

TEST(NonFinite, TooManyInARowStopTheRun) {
  TinyTraining training;
  poison_teacher(training, {1, 3, 4, 5});
  training.config.train.max_skipped_steps = 3;
  training.config.evaluate.every = 0;
  const RunFinished finished = training.run();
  EXPECT_EQ(finished.end, RunEnd::diverged);
  EXPECT_EQ(finished.step, 6);
  EXPECT_NE(finished.reason.find("3 steps in a row had to be skipped"), std::string::npos) << finished.reason;
  EXPECT_NE(finished.reason.find("model.embed_tokens"), std::string::npos) << finished.reason;
}

TEST(NonFinite, ALayerIsNamed) {
  TinyTraining training;
  training.perturb_student = [](LanguageModel& student) {
    for (const ParameterPointer& parameter : student.parameters())
      if (parameter->name == "model.layers.1.mlp.up_proj.weight")
        parameter->value().data()[5] = std::numeric_limits<float>::infinity();
  };
  try {
    training.run();
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("model.layers.1.mlp."), std::string::npos) << error.what();
  }
}

TEST(NonFinite, AStepWithoutLabelsIsSkipped) {
  TinyTraining training;
  training.config.train.batch_size = 1;
  training.config.train.micro_batch_size = 0;
  Documents documents = testing::one_token_documents(20);
  documents.mask.assign(documents.ids.size(), 1);
  std::fill_n(documents.mask.begin() + 32, 32, std::uint8_t{0});  // the second sequence is all prompt
  training.config.loss.kind = LossKind::cross_entropy;
  training.order = DataOrder::sequential;
  training.train = PackedSequences(documents, Packing::documents, 32);
  const RunFinished finished = training.run();
  EXPECT_EQ(finished.end, RunEnd::planned_steps);
  EXPECT_GE(finished.skipped_steps, 1);
  for (const StepDone& step : training.steps) EXPECT_EQ(step.skipped, step.step % 20 == 2) << step.step;
}

TEST(Memory, IsFlatFromStepToStep) {
  for (const auto checkpointing : {ActivationCheckpointing::none, ActivationCheckpointing::block}) {
    TinyTraining training;
    // Windows of one length: documents of many lengths meet new sizes for longer.
    training.train = PackedSequences(testing::ragged_documents(60, 1), Packing::concatenate, 32);
    training.config.train.activation_checkpointing = checkpointing;
    training.config.train.steps = 30;
    training.config.evaluate.every = 0;
    training.config.checkpoint.every = 0;
    std::vector<std::size_t> allocations;
    std::size_t polls = 0;
    training.run([&] {
      allocations.push_back(storage_statistics().allocations);
      return ++polls, false;
    });
    ASSERT_GT(allocations.size(), 60u);
    const std::size_t end = allocations.size() - training.evaluation.size() - 2;  // the last evaluation may need more
    EXPECT_EQ(allocations[end / 3], allocations[end - 1]);
  }
}

}  // namespace
}  // namespace qad
