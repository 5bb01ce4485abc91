// What training does with routers: left alone or not, their load balanced or not, and experts that nobody asked.
#include "qad/train/routers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "tests/support/bytes.h"
#include "tests/train/experts_config.h"

namespace qad {
namespace {

using testing::TinyTraining;
using testing::with_experts;

TrainConfig decaying() {
  TrainConfig train = testing::tiny_trainer_config().train;
  train.adamw.weight_decay = 0.1;
  train.router_bias_rate = 0;
  return train;
}

// Calls visit(parameter of the trained student, the same of its teacher in FP32).
void compare(TinyTraining& training, const std::function<void(const Parameter&, const Tensor&)>& visit) {
  const ParameterList after = training.student->parameters(), before = training.teacher->parameters();
  for (std::size_t i = 0; i < after.size(); ++i) visit(*after[i], before[i]->value().to(DType::f32));
}

TEST(Routers, LearnUnlessTheyAreToStay) {
  for (const bool learns : {true, false}) {
    SCOPED_TRACE(learns);
    TrainerConfig config = testing::tiny_trainer_config();
    config.train = decaying();
    config.train.router = learns;
    TinyTraining training(config);
    training.teacher = TinyTraining::make_teacher(with_experts(ScoringFunction::softmax));
    EXPECT_EQ(training.run().end, RunEnd::planned_steps);
    int routers = 0;
    compare(training, [&](const Parameter& parameter, const Tensor& before) {
      const bool is_router = parameter.role == Role::router;
      routers += is_router ? 1 : 0;
      if (is_router || parameter.role == Role::norm) {
        EXPECT_EQ(testing::same_bits(parameter.value(), before), is_router && !learns) << parameter.name;
      }
    });
    EXPECT_EQ(routers, 2);
    EXPECT_EQ(training.newest().tensors.contains("adamw/first/model.layers.0.mlp.gate.weight"), learns);
    EXPECT_TRUE(training.newest().tensors.contains("model/model.layers.0.mlp.gate.weight"));
  }
}

TEST(Routers, ThatStayAreResumedToTheSameBits) {
  TrainerConfig config = testing::tiny_trainer_config();
  config.train.router = false;
  TinyTraining whole(config), stopped(config);
  for (TinyTraining* training : {&whole, &stopped})
    training->teacher = TinyTraining::make_teacher(with_experts(ScoringFunction::softmax));
  whole.run();
  int poll = 0;
  EXPECT_EQ(stopped.run([&] { return ++poll > 150; }).end, RunEnd::interrupted);
  stopped.run();
  stopped.expect_same(whole);
}

// An expert without a token in the whole step: neither its weights nor its moments change, though others' decay.
TEST(Experts, WithoutTokensInAStepStayAsTheyAre) {
  const ModelConfig config = with_experts(ScoringFunction::softmax, 24);
  const auto model = trainable_copy(*TinyTraining::make_teacher(config));
  AdamW optimizer({.weight_decay = 0.1}, model->parameters());
  const auto hit = [&](const TokenBatch& batch) {
    std::set<std::string> names;
    const RoutingListener listener(*model, [&](std::size_t layer, const Routing& routing) {
      for (const std::int32_t expert : *routing.experts)
        names.insert("model.layers." + std::to_string(layer) + ".mlp.experts." + std::to_string(expert) + ".");
    });
    const NoGradScope no_grad;
    static_cast<void>(model->hidden_states(batch));
    return names;
  };
  const PackedSequences text(testing::one_token_documents(6), Packing::documents, 32);
  TrainConfig train;
  train.lr = 1e-2;
  LossConfig loss;
  loss.kind = LossKind::cross_entropy;
  int stayed = 0, moved = 0, moved_by_one_batch = 0;
  for (std::int64_t step = 1; step <= 3; ++step) {
    const std::vector<TokenBatch> batches = {text.batch(2 * step - 2, 2 * step - 1),
                                             text.batch(2 * step - 1, 2 * step)};
    const std::set<std::string> first = hit(batches[0]), second = hit(batches[1]);
    std::vector<Tensor> values, moments;
    for (std::size_t i = 0; i < optimizer.parameters().size(); ++i) {
      values.push_back(optimizer.parameters()[i]->value().clone());
      moments.push_back(optimizer.states()[i].second.clone());
    }
    ASSERT_FALSE(train_step(train, loss, step, *model, nullptr, optimizer, batches).skipped);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const Parameter& parameter = *optimizer.parameters()[i];
      const std::size_t at = parameter.name.find(".experts.");
      if (at == std::string::npos) continue;
      const std::string expert = parameter.name.substr(0, parameter.name.find('.', at + 9) + 1);
      const bool in_first = first.contains(expert), in_second = second.contains(expert);
      EXPECT_EQ(testing::same_bits(parameter.value(), values[i]), !in_first && !in_second) << parameter.name;
      EXPECT_EQ(testing::same_bits(optimizer.states()[i].second, moments[i]), !in_first && !in_second)
          << parameter.name;
      (in_first || in_second ? moved : stayed) += 1;
      moved_by_one_batch += in_first != in_second ? 1 : 0;
    }
  }
  EXPECT_GT(stayed, 10);
  EXPECT_GT(moved, 10);
  EXPECT_GT(moved_by_one_batch, 3);
}

// A run of cross-entropy alone from fresh weights, as pretraining is.
TrainerConfig pretraining() {
  TrainerConfig config = testing::tiny_trainer_config();
  config.loss.kind = LossKind::cross_entropy;
  config.train.router_bias_rate = 0.25;  // exact in FP32
  return config;
}

// The choices of a step's micro-batches by the definition: what the model routed before the step.
TEST(RouterBalance, MovesBiasesByTheSignOfTheLoad) {
  const auto model = initialize_model(with_experts(ScoringFunction::sigmoid), 3);
  AdamW optimizer({}, model->parameters());
  const std::vector<RoutedExperts*> layers = expert_layers(*model);
  ASSERT_EQ(layers.size(), 1u);  // the first layer is dense
  const ParameterPointer bias = layers[0]->choice_bias;
  ASSERT_NE(bias, nullptr);
  RouterBalance balance(*model, 0.25);
  const PackedSequences text(testing::ragged_documents(12, 1), Packing::documents, 32);
  LossConfig loss;
  loss.kind = LossKind::cross_entropy;
  for (std::int64_t step = 1; step <= 4; ++step) {
    SCOPED_TRACE(step);
    const std::vector<TokenBatch> batches = {text.batch(2 * step - 2, 2 * step - 1),
                                             text.batch(2 * step - 1, 2 * step)};
    std::vector<double> load(8);
    double mean = 0;
    for (const TokenBatch& batch : batches) {
      const RoutingListener listener(*model, [&](std::size_t, const Routing& routing) {
        for (const std::int32_t expert : *routing.experts) load[static_cast<std::size_t>(expert)] += 1, mean += 1.0 / 8;
      });
      const NoGradScope no_grad;
      static_cast<void>(model->hidden_states(batch));
    }
    const std::vector<float> before(bias->value().span().begin(), bias->value().span().end());
    // Blocks that are computed again are counted once.
    model->activation_checkpointing = step % 2 == 0 ? ActivationCheckpointing::block : ActivationCheckpointing::none;
    ASSERT_FALSE(train_step({}, loss, step, *model, nullptr, optimizer, batches).skipped);
    EXPECT_TRUE(std::ranges::equal(bias->value().span(), before)) << "moved by the optimizer";
    const std::uint64_t version = bias->version();
    balance.end_step(true);
    EXPECT_GT(bias->version(), version);
    for (std::size_t e = 0; e < load.size(); ++e) {
      const float sign = load[e] < mean ? 1.0f : load[e] > mean ? -1.0f : 0.0f;
      EXPECT_EQ(bias->value().data()[e], before[e] + 0.25f * sign) << e;
    }
  }
  // What a step without an update counted is forgotten.
  const std::vector<float> before(bias->value().span().begin(), bias->value().span().end());
  ASSERT_FALSE(train_step({}, loss, 5, *model, nullptr, optimizer, {text.batch(8, 10)}).skipped);
  balance.end_step(false);
  balance.end_step(true);
  EXPECT_TRUE(std::ranges::equal(bias->value().span(), before));
}

TEST(RouterBalance, BelongsToTheTrainerAndIsResumedToTheSameBits) {
  const auto prepare = [](TinyTraining& training) {
    training.teacher = TinyTraining::make_teacher(with_experts(ScoringFunction::sigmoid));
  };
  const std::string bias = "model/model.layers.1.mlp.gate.e_score_correction_bias";
  TinyTraining whole(pretraining(), {});
  prepare(whole);
  int polls = 0;
  whole.run([&] { return ++polls, false; });
  const auto span = whole.newest().tensors.at(bias).clone();
  EXPECT_FALSE(std::ranges::all_of(span.span(), [](float value) { return value == 0; }));
  for (const float value : span.span()) EXPECT_EQ(value, 0.25f * std::round(value / 0.25f));
  for (const int moment : {polls / 3, polls / 2, 3 * polls / 4}) {
    TinyTraining stopped(pretraining(), {});
    prepare(stopped);
    int poll = 0;
    EXPECT_EQ(stopped.run([&] { return ++poll > moment; }).end, RunEnd::interrupted);
    stopped.config.train.activation_checkpointing = ActivationCheckpointing::block;
    stopped.run();
    stopped.expect_same(whole);
  }
  TrainerConfig still = pretraining();
  still.train.router_bias_rate = 0;
  TinyTraining unbalanced(still, {});
  prepare(unbalanced);
  unbalanced.run();
  EXPECT_TRUE(std::ranges::all_of(unbalanced.newest().tensors.at(bias).span(), [](float value) { return value == 0; }));
}

}  // namespace
}  // namespace qad
