// A run's state in a checkpoint and out of it: what does not fit is named in one line.
#include "qad/checkpoint/run_state.h"

#include <gtest/gtest.h>

#include <cmath>

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
