// Rules over parameters: which one counts, what it does to the update, that what is frozen costs and moves nothing, and
// that a run with rules is resumed to the same bits.
#include "qad/train/parameter_rules.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "autograd/base/error.h"
#include "tests/support/bytes.h"
#include "tests/support/error_of.h"
#include "tests/train/tiny_training.h"

namespace qad {
namespace {

using testing::TinyTraining;

TrainerConfig with_rules(std::vector<ParameterRule> rules) {
  TrainerConfig config = testing::tiny_trainer_config();
  config.train.adamw.weight_decay = 0.1;
  config.train.parameters = std::move(rules);
  return config;
}

TEST(ParameterRules, TheLastThatMatchesCountsWhole) {
  const auto model = initialize_model(testing::tiny_model_config(), 1);
  const std::size_t all = model->parameters().size();
  const MovedParameters moved = moved_parameters(*model, {},
                                                 {{.lr_factor = 0.5, .weight_decay = 0.25},
                                                  {.names = "*mlp*", .lr_factor = 3},
                                                  {.role = Role::embedding, .frozen = true},
                                                  {.names = "model.layers.1.*", .role = Role::norm, .frozen = true}},
                                                 {.weight_decay = 0.125});
  EXPECT_EQ(moved.parameters.size(), all - 3);
  for (std::size_t i = 0; i < moved.parameters.size(); ++i) {
    const Parameter& parameter = *moved.parameters[i];
    const bool is_mlp = parameter.name.find("mlp") != std::string::npos;
    EXPECT_EQ(moved.options[i].lr_factor, is_mlp ? 3 : 0.5) << parameter.name;
    EXPECT_EQ(moved.options[i].weight_decay, is_mlp ? 0.125 : 0.25) << parameter.name;
  }
  int frozen = 0;
  for (const ParameterPointer& parameter : model->parameters()) frozen += parameter->trained() ? 0 : 1;
  EXPECT_EQ(frozen, 3);
}

TEST(ParameterRules, WithoutAnyAllIsAsItWas) {
  const auto model = initialize_model(testing::tiny_model_config(), 1);
  const MovedParameters moved = moved_parameters(*model, {}, {}, {.weight_decay = 0.125});
  EXPECT_EQ(moved.parameters, model->parameters());
  for (std::size_t i = 0; i < moved.parameters.size(); ++i)
    EXPECT_EQ(moved.options[i].weight_decay, moved.parameters[i]->decays() ? 0.125 : 0.0);
}

TEST(ParameterRules, TheirFactorAndDecayAreThoseOfTheUpdate) {
  const auto one = [] { return make_parameter("w", Tensor::from(std::vector<float>{1, -2, 3}, {3}), true); };
  const auto own = one(), expected = one();
  AdamW with_options({}, {own}, {{.lr_factor = 0.25, .weight_decay = 0.5}});
  AdamW usual({.weight_decay = 0.5}, {expected});
  for (int step = 0; step < 3; ++step) {
    for (const auto& parameter : {own, expected})
      parameter->variable.sink()->give(Tensor::from(std::vector<float>{0.5f, 1, -2}, {3}));
    with_options.step(0.5, 1.0);
    usual.step(0.125, 1.0);
  }
  EXPECT_TRUE(testing::same_bits(own->value(), expected->value()));
}

TEST(ParameterRules, WhatTheyFreezeStaysAndHasNoMoments) {
  TinyTraining training(with_rules({{.frozen = true}, {.role = Role::norm}}));
  EXPECT_EQ(training.run().end, RunEnd::planned_steps);
  const ParameterList after = training.student->parameters(), before = training.teacher->parameters();
  const CheckpointContent content = training.newest();
  int norms = 0;
  for (std::size_t i = 0; i < after.size(); ++i) {
    const bool moves = after[i]->role == Role::norm;
    norms += moves ? 1 : 0;
    EXPECT_EQ(testing::same_bits(after[i]->value(), before[i]->value().to(DType::f32)), !moves) << after[i]->name;
    EXPECT_EQ(after[i]->trained(), moves) << after[i]->name;
    EXPECT_EQ(content.tensors.contains("adamw/first/" + after[i]->name), moves) << after[i]->name;
    EXPECT_TRUE(content.tensors.contains("model/" + after[i]->name)) << after[i]->name;
  }
  EXPECT_EQ(norms, 5);
}

// The gradients of the rest are what they would be.
TEST(ParameterRules, WhatIsFrozenChangesNoOtherGradient) {
  const auto gradients = [](const std::vector<ParameterRule>& rules) {
    const auto model = initialize_model(testing::tiny_model_config(), 3);
    const MovedParameters moved = moved_parameters(*model, {}, rules, {});
    const PackedSequences text(testing::ragged_documents(3, 4), Packing::documents, 32);
    const Variable hidden = model->hidden_states(text.batch(0, 3));
    backward(hidden);
    std::map<std::string, std::vector<float>> result;
    for (const ParameterPointer& parameter : moved.parameters)
      if (const Tensor gradient = parameter->variable.sink()->take(); gradient.defined())
        result[parameter->name] = {gradient.span().begin(), gradient.span().end()};
    return result;
  };
  const auto all = gradients({});
  for (const char* names : {"*embed*", "model.layers.0.*", "*norm*", "*mlp*", "*self_attn*"}) {
    const auto some = gradients({{.names = names, .frozen = true}});
    EXPECT_LT(some.size(), all.size()) << names;
    for (const auto& [name, gradient] : some) EXPECT_EQ(gradient, all.at(name)) << name << " without " << names;
  }
}

TEST(ParameterRules, AKilledTrainingThatIsResumedEqualsOneThatNeverWas) {
  testing::expect_killing_changes_nothing([] {
    return std::make_unique<TinyTraining>(with_rules(
        {{.names = "model.layers.0.*", .frozen = true}, {.role = Role::norm, .lr_factor = 10, .weight_decay = 0.01}}));
  });
}

TEST(ParameterRules, ThatDoNothingOrLeaveNothingAreRefused) {
  const auto refusal = [](std::vector<ParameterRule> rules) {
    TinyTraining training(with_rules(std::move(rules)));
    return testing::error_of([&] { training.run(); });
  };
  testing::expect_mentions(refusal({{.frozen = false}, {.names = "*.q_porj.weight", .frozen = true}}),
                           {"train.parameters[1]: expected a rule that matches a parameter that is trained, got "
                            "'*.q_porj.weight', which matches none"});
  testing::expect_mentions(refusal({{.names = "*mlp*", .role = Role::norm}}),
                           {"train.parameters[0]", "'*mlp*' with the role norm, which matches none"});
  testing::expect_mentions(refusal({{.frozen = true}}), {"train.parameters: expected something that is trained"});
}

}  // namespace
}  // namespace qad
