// Which experts held-out tokens go to, and how often a teacher chooses the same: by the definition.
#include "qad/train/routing_figures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "qad/train/evaluator.h"
#include "tests/train/experts_config.h"

namespace qad {
namespace {

using testing::TinyTraining;
using testing::with_experts;
using Choices = RoutingFigures::Choices;

Choices choices_of(LanguageModel& model, const TokenBatch& batch) {
  Choices choices;
  const NoGradScope no_grad;
  const RoutingListener listener(model, [&](std::size_t layer, const Routing& routing) {
    EXPECT_EQ(layer, choices.size());
    choices.push_back(routing.experts);
  });
  static_cast<void>(model.hidden_states(batch));
  return choices;
}

TEST(RoutingListener, HearsUntilItIsGoneAndGivesPlaceBack) {
  const auto model = initialize_model(with_experts(ScoringFunction::softmax), 2);
  const TokenBatch batch = TinyTraining().evaluation.front();
  const NoGradScope no_grad;
  int outer = 0, inner = 0;
  {
    const RoutingListener first(*model, [&](std::size_t, const Routing&) { ++outer; });
    {
      const RoutingListener second(*model, [&](std::size_t, const Routing&) { ++inner; });
      static_cast<void>(model->hidden_states(batch));
    }
    static_cast<void>(model->hidden_states(batch));
  }
  static_cast<void>(model->hidden_states(batch));
  EXPECT_EQ(outer, 2);
  EXPECT_EQ(inner, 2);
}

TEST(RoutingFigures, ByTheirDefinition) {
  for (const ScoringFunction scores : {ScoringFunction::softmax, ScoringFunction::sigmoid}) {
    SCOPED_TRACE(enum_name(scores));
    TinyTraining training;
    training.teacher = TinyTraining::make_teacher(with_experts(scores));
    for (TokenBatch& batch : training.evaluation)
      for (std::size_t token = 0; token < batch.valid.size(); token += 5) batch.valid[token] = 0;
    const auto student = trainable_copy(*training.teacher);
    for (const ParameterPointer& parameter : student->parameters())
      if (parameter->role == Role::weight)
        for (float& value : parameter->value().span()) value = std::round(value * 2.0f) / 2.0f;

    const std::size_t layers = scores == ScoringFunction::softmax ? 2 : 1;
    std::vector<std::vector<std::int64_t>> tokens(layers, std::vector<std::int64_t>(8));
    std::vector<DocumentMean> agreement(layers);
    std::int64_t valid = 0;
    for (const TokenBatch& batch : training.evaluation) {
      const Choices own = choices_of(*student, batch), theirs = choices_of(*training.teacher, batch);
      ASSERT_EQ(own.size(), layers);
      for (std::size_t s = 0; s < batch.segments.size(); ++s)
        for (auto t = static_cast<std::size_t>(batch.segments[s].begin);
             t < static_cast<std::size_t>(batch.segments[s].end); ++t) {
          if (batch.valid[t] == 0) continue;
          ++valid;
          for (std::size_t layer = 0; layer < layers; ++layer) {
            const std::set<std::int32_t> mine = {(*own[layer])[2 * t], (*own[layer])[2 * t + 1]};
            ASSERT_EQ(mine.size(), 2u);
            double both = 0;
            for (const std::int32_t expert : mine) {
              ++tokens[layer][static_cast<std::size_t>(expert)];
              both += (*theirs[layer])[2 * t] == expert || (*theirs[layer])[2 * t + 1] == expert ? 1 : 0;
            }
            agreement[layer].add(batch.document[s], both / 2);
          }
        }
    }

    std::vector<LayerRouting> routing;
    const EvalFigures figures = evaluate(*student, training.teacher.get(), training.evaluation, &routing);
    ASSERT_EQ(routing.size(), layers);
    double mean = 0, worst = 1, busiest = 0, idlest = 1;
    for (std::size_t layer = 0; layer < layers; ++layer) {
      EXPECT_EQ(routing[layer].layer, "model.layers." + std::to_string(layer + 2 - layers) + ".mlp");
      EXPECT_EQ(routing[layer].tokens, tokens[layer]);
      EXPECT_EQ(routing[layer].agreement, agreement[layer].mean());
      EXPECT_EQ(routing[layer].agreement_stderr, agreement[layer].standard_error());
      mean += routing[layer].agreement / static_cast<double>(layers);
      worst = std::min(worst, routing[layer].agreement);
      for (const std::int64_t count : tokens[layer]) {
        busiest = std::max(busiest, static_cast<double>(count) / static_cast<double>(2 * valid));
        idlest = std::min(idlest, static_cast<double>(count) / static_cast<double>(2 * valid));
      }
    }
    EXPECT_GT(worst, 0.2);
    EXPECT_LT(worst, 1);
    EXPECT_NEAR(figures.router_agreement, mean, 1e-12);
    EXPECT_GT(figures.router_agreement_stderr, 0);
    EXPECT_EQ(figures.router_agreement_worst, worst);
    EXPECT_GT(figures.router_agreement_worst_stderr, 0);
    EXPECT_EQ(figures.busiest_expert, busiest);
    EXPECT_EQ(figures.idlest_expert, idlest);
  }
}

TEST(RoutingFigures, AgreeWithNobodyOrWithItself) {
  TinyTraining training;
  training.teacher = TinyTraining::make_teacher(with_experts(ScoringFunction::softmax));
  LanguageModel& model = *training.teacher;
  const EvalFigures itself = evaluate(model, &model, training.evaluation);
  EXPECT_EQ(itself.router_agreement, 1);
  EXPECT_EQ(itself.router_agreement_worst, 1);
  const EvalFigures alone = evaluate(model, nullptr, training.evaluation);
  EXPECT_TRUE(std::isnan(alone.router_agreement) && std::isnan(alone.router_agreement_worst));
  EXPECT_EQ(alone.busiest_expert, itself.busiest_expert);
  // A teacher of another form chooses nothing that these experts could share.
  const auto dense = TinyTraining::make_teacher(testing::tiny_model_config());
  const EvalFigures other = evaluate(model, dense.get(), training.evaluation);
  EXPECT_TRUE(std::isnan(other.router_agreement));
  EXPECT_GT(other.kl_mean, 0);
  std::vector<LayerRouting> routing;
  const EvalFigures of_dense = evaluate(*dense, &model, training.evaluation, &routing);
  EXPECT_TRUE(routing.empty());
  EXPECT_TRUE(std::isnan(of_dense.busiest_expert) && std::isnan(of_dense.router_agreement));
}

}  // namespace
}  // namespace qad
