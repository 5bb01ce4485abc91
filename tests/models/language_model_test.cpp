// A model as visitors, block-wise runs and decoding see it.
#include "models/language_model.h"

#include <gtest/gtest.h>

#include <map>

#include "models/import/model_folder.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

Tensor logits_of_batch(LanguageModel& model) {
  const NoGradScope no_grad;
  return logits_of(model, model.hidden_states(testing::small_batch()).value());
}

void expect_same(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.shape(), b.shape());
  for (std::int64_t i = 0; i < a.size(); ++i) ASSERT_EQ(a.data()[i], b.data()[i]) << i;
}

ModelConfig with_every_part(bool tied) {
  ModelConfig config = testing::small_config(tied);
  config.model_type = "qwen3";
  config.attention_bias = config.attention_output_bias = config.qk_norm = true;
  config.num_key_value_heads = config.num_attention_heads;
  return config;
}

TEST(LanguageModels, AVisitorSeesEveryParameterOnceWithItsRole) {
  for (const bool tied : {true, false}) {
    const auto model = initialize_model(with_every_part(tied), 3);
    std::map<Role, int> roles;
    std::map<std::string, int> names;
    for (const ParameterPointer& parameter : model->parameters()) {
      ++roles[parameter->role];
      EXPECT_EQ(++names[parameter->name], 1) << parameter->name;
      EXPECT_EQ(parameter->decays(), parameter->value().shape().rank() == 2) << parameter->name;
    }
    const std::map<Role, int> expected = {{Role::embedding, 1}, {Role::weight, 14}, {Role::norm, 9}, {Role::bias, 8}};
    std::map<Role, int> found = roles;
    EXPECT_EQ(found[Role::head], tied ? 0 : 1);
    found.erase(Role::head);
    EXPECT_EQ(found, expected);
    EXPECT_EQ(model->linear_groups().back(), &model->head());
    EXPECT_EQ(model->linear_groups().size(), 9u);
    EXPECT_EQ(model->attention_layers().size(), 2u);
  }
}

TEST(LanguageModels, RunABlockAtATimeTheyAreTheSame) {
  const auto model = initialize_model(testing::small_config(), 4);
  const TokenBatch batch = testing::small_batch();
  const ForwardPlan plan = LanguageModel::plan_of(batch);
  Variable x = model->embed(batch);
  for (const Block& block : model->blocks()) x = block(x, plan, nullptr);
  expect_same(model->finish(x).value(), model->hidden_states(batch).value());
}

// A power of two goes from what feeds a group into its weights, and no bit changes.
TEST(LanguageModels, GroupsNameWhatFeedsThem) {
  const auto model = initialize_model(with_every_part(false), 5);
  const Tensor before = logits_of_batch(*model);
  for (LinearGroup* group : model->linear_groups()) {
    ASSERT_NE(group->fed_by, nullptr) << group->name;
    const Tensor& feeder = group->fed_by->value();
    ASSERT_EQ(feeder.shape().rank() == 1 ? feeder.size() : feeder.rows(), group->members[0].in_features());
    const std::int64_t column = 5, width = feeder.size() / group->members[0].in_features();
    for (std::int64_t i = 0; i < width; ++i) feeder.data()[column * width + i] *= 4.0f;
    for (const Linear& member : group->members)
      for (std::int64_t row = 0; row < member.out_features(); ++row)
        member.weight->value().data()[row * member.in_features() + column] /= 4.0f;
  }
  expect_same(logits_of_batch(*model), before);
}

// Tokens that were read and cut off again leave no trace; a copied state goes on like the one it was copied from.
TEST(LanguageModels, WhatTheyRememberCanBeCopiedAndCutBack) {
  const auto model = initialize_model(testing::small_config(), 6);
  const NoGradScope no_grad;
  DecodingState state = model->make_state(2, 16);
  EXPECT_EQ(state.bytes(), 2u * 2 * 2 * 16 * 16 * sizeof(float));  // layers, keys and values, slots, tokens, widths
  const auto read = [&](std::vector<std::int32_t> ids, std::int64_t slot, std::int64_t cached) {
    TokenBatch batch;
    for (std::size_t t = 0; t < ids.size(); ++t)
      batch.positions.push_back(static_cast<std::int32_t>(cached + static_cast<std::int64_t>(t)));
    batch.ids = std::move(ids);
    return model->hidden_states(batch, {{0, batch.size(), slot, cached}}, state).value();
  };
  static_cast<void>(read({3, 10, 17}, 0, 0));
  const Tensor expected = read({24}, 0, 3);
  static_cast<void>(read({31, 38}, 0, 4));
  state.copy(0, 1, 6);
  for (const std::int64_t slot : {0, 1}) {
    state.cut(slot, 3);
    expect_same(read({24}, slot, 3), expected);
  }
}

}  // namespace
}  // namespace qad
