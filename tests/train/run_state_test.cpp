// A run's state in a checkpoint and out of it: what does not fit is named in one line.
#include "qad/checkpoint/run_state.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "tests/support/error_of.h"
#include "tests/train/tiny_training.h"

namespace qad {
namespace {

class SavedState : public ::testing::Test {
 protected:
  CheckpointContent packed() {
    RunState state;
    state.step = 3;
    state.best.kl_mean = 0.25;
    state.best.kl_p99_stderr = 0.125;
    state.best.tokens = 77;
    return pack(state, parts_, "recipe");
  }
  RunState unpacked(const CheckpointContent& content) { return unpack(content, parts_, "a.h5"); }
  std::string error_of(const CheckpointContent& content) {
    return testing::error_of([&] { static_cast<void>(unpacked(content)); });
  }

  std::unique_ptr<LanguageModel> student_ = initialize_model(testing::tiny_model_config(), 1);
  QuantizerSet quantizers_;
  RunParts parts_{*student_, quantizers_, nullptr};
};

TEST_F(SavedState, ComesBack) {
  const RunState state = unpacked(packed());
  EXPECT_EQ(state.step, 3);
  EXPECT_EQ(state.best.kl_mean, 0.25);
  EXPECT_EQ(state.best.kl_p99_stderr, 0.125);
  EXPECT_EQ(state.best.tokens, 77);
}

TEST_F(SavedState, HasEveryFieldUnderItsName) {
  RunState state;
  state.skipped_in_a_row = 2;
  state.has_best = true;
  state.seconds = 1.5;
  state.diverged = "why";
  state.before.cross_entropy = 0.75;
  state.last_step = {.step = 3,
                     .tokens = 77,
                     .loss = 0.5,
                     .lr = 0.25,
                     .grad_norm = 2.5,
                     .tokens_per_second = 12.5,
                     .saturated_weights = 5,
                     .saturated_activations = 6,
                     .skipped = true,
                     .eval_follows = true,
                     .rollout = RolloutFigures{.reward = 0.125, .kl = 0.0625}};
  const CheckpointContent content = pack(state, parts_, "recipe");
  using Number = CheckpointContent::Number;
  const std::map<std::string, Number> some = {{"skipped_in_a_row", std::int64_t{2}},
                                              {"has_best", std::int64_t{1}},
                                              {"evaluation_pending", std::int64_t{1}},
                                              {"seconds", 1.5},
                                              {"before.cross_entropy", 0.75},
                                              {"last_step.step", std::int64_t{3}},
                                              {"last_step.tokens", std::int64_t{77}},
                                              {"last_step.loss", 0.5},
                                              {"last_step.lr", 0.25},
                                              {"last_step.grad_norm", 2.5},
                                              {"last_step.tokens_per_second", 12.5},
                                              {"last_step.saturated_weights", std::int64_t{5}},
                                              {"last_step.saturated_activations", std::int64_t{6}},
                                              {"last_step.skipped", std::int64_t{1}},
                                              {"last_step.eval_follows", std::int64_t{1}},
                                              {"last_step.rollout.reward", 0.125},
                                              {"last_step.rollout.kl", 0.0625}};
  for (const auto& [name, number] : some) EXPECT_TRUE(content.numbers.at(name) == number) << name;
  EXPECT_EQ(content.numbers.size(), 11u + 2 * 18 + 10 + 6);
  EXPECT_EQ(content.texts.at("diverged"), "why");

  const RunState again = unpacked(content);
  EXPECT_EQ(again.diverged, "why");
  EXPECT_TRUE(again.has_best && again.last_step.skipped && again.last_step.eval_follows);
  EXPECT_EQ(again.last_step.grad_norm, 2.5);
  EXPECT_EQ(again.last_step.saturated_activations, 6);
  EXPECT_EQ(again.last_step.rollout.value().kl, 0.0625);
  EXPECT_TRUE(std::isnan(again.last_step.rollout.value().length));
  EXPECT_FALSE(unpacked(packed()).last_step.rollout.has_value());
  EXPECT_FALSE(packed().texts.contains("diverged"));
}

TEST_F(SavedState, AFigureThatAnOlderProgramDidNotMeasureIsNone) {
  CheckpointContent content = packed();
  content.numbers.erase("best.kl_p99_stderr");
  EXPECT_TRUE(std::isnan(unpacked(content).best.kl_p99_stderr));
  content.numbers.erase("step");
  EXPECT_EQ(error_of(content), "a.h5: expected the number step, got none (is it another program's?)");
}

TEST_F(SavedState, TensorsThatDoNotFitAreNamed) {
  const std::string name = "model/model.norm.weight";
  CheckpointContent content = packed();
  const Tensor norm = content.tensors.at(name);
  content.tensors[name] = Tensor({7}, DType::f32);
  EXPECT_EQ(error_of(content),
            "a.h5: model/model.norm.weight: expected shape [32], got [7] (is it a checkpoint of another model?)");
  content.tensors[name] = norm.to(DType::bf16);
  EXPECT_EQ(error_of(content),
            "a.h5: model/model.norm.weight: expected f32, got bf16 (is it a checkpoint of another model?)");
  content.tensors.erase(name);
  EXPECT_EQ(error_of(content),
            "a.h5: expected the tensor model/model.norm.weight, got none (is it a checkpoint of another model?)");
  content.tensors[name] = norm;
  content.tensors["model/model.layers.2.mlp.up_proj.weight"] = norm;
  EXPECT_EQ(error_of(content),
            "a.h5: expected no tensors but the model's, got model/model.layers.2.mlp.up_proj.weight as well (is it a "
            "checkpoint of another model?)");
}

}  // namespace
}  // namespace qad
