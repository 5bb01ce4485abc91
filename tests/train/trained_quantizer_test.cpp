// Parameters that a quantizer owns are trained, saved and resumed as the model's are.
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/linear.h"
#include "qad/formats/quantize.h"
#include "tests/support/error_of.h"
#include "tests/train/tiny_training.h"

namespace qad {
namespace {

using testing::TinyTraining;

constexpr const char* kLayer = "model.layers.1.self_attn.o_proj";
constexpr const char* kFactor = "model.layers.1.self_attn.o_proj.input.factor";

// Multiplies an input by a factor that it learns: y = factor·x, dx = factor·dy, dfactor = Σ dy·x.
class LearnedFactor final : public Quantizer {
 public:
  LearnedFactor(const std::string& name, std::shared_ptr<TensorScale> scale)
      : Quantizer(name, std::move(scale), StraightThrough::identity),
        factor_(make_parameter(name + ".factor", Tensor::full({1}, 1.0f), true)) {
    factor_->role = Role::scale;
  }
  [[nodiscard]] ParameterList parameters() const override { return {factor_}; }
  [[nodiscard]] TransformResult apply(const Tensor& x, std::uint64_t /*version*/, Readers /*readers*/) override {
    if (observing()) shared_scale().observe(amax(x.data(), x.size()));
    const float factor = factor_->value().item();
    const Tensor y = x.clone();
    for (float& value : y.span()) value *= factor;
    return {operand_of(y), y, [x, factor, sink = factor_->variable.sink()](const Tensor& gradient) {
              double sum = 0;
              for (std::int64_t i = 0; i < x.size(); ++i) {
                sum += static_cast<double>(gradient.data()[i]) * x.data()[i];
                gradient.data()[i] *= factor;
              }
              sink->give(Tensor::full({1}, static_cast<float>(sum)));
            }};
  }

 private:
  ParameterPointer factor_;
};

std::shared_ptr<LearnedFactor> put_factor(LanguageModel& model, QuantizerSet& set) {
  for (LinearGroup* group : model.linear_groups()) {
    if (group->name != kLayer) continue;
    const std::string name = group->name + ".input";
    auto factor = std::make_shared<LearnedFactor>(name, set.make_scale(name, block_format("nvfp4"), {}));
    set.add(factor);
    group->input_slot = factor;
    return factor;
  }
  return nullptr;
}

struct WithFactor : TinyTraining {
  WithFactor() : TinyTraining(testing::tiny_trainer_config(), rules()) {
    change_quantizers = [](LanguageModel& model, QuantizerSet& set) { put_factor(model, set); };
  }
  static QuantizeConfig rules() {
    QuantizeConfig config = testing::quantize_blocks("nvfp4", "nvfp4");
    config.rules.push_back({kLayer, "nvfp4", "none"});
    return config;
  }
};

TEST(TrainedQuantizer, ItsParameterGetsItsGradientAndNoDecay) {
  const auto model = initialize_model(testing::tiny_model_config(), 1);
  QuantizerSet set = attach_quantizers(*model, WithFactor::rules());
  const std::size_t own = model->parameters().size();
  EXPECT_EQ(trained_parameters(*model, set).size(), own);
  const auto quantizer = put_factor(*model, set);
  const ParameterList all = trained_parameters(*model, set);
  ASSERT_EQ(all.size(), own + 1);
  EXPECT_EQ(all.back()->name, kFactor);
  EXPECT_FALSE(all.back()->decays());

  const Variable x = Variable::leaf(Tensor::from(std::vector<float>{1, -2, 3, 0.5f}, {2, 2}));
  const Tensor d = Tensor::from(std::vector<float>{0.25f, 1, -1, 4}, {2, 2});
  quantizer->set_observing(false);
  backward(transformed(x, quantizer), d.clone());
  EXPECT_EQ(all.back()->variable.sink()->gradient().item(), 0.25f - 2 - 3 + 2);
  EXPECT_DOUBLE_EQ(gradient_norm({all.back()}), 2.75);
}

TEST(TrainedQuantizer, MovesAndIsSavedWithItsMoments) {
  WithFactor training;
  training.run();
  const CheckpointContent content = training.newest();
  const Tensor factor = content.tensors.at(std::string("quantizer/") + kFactor);
  EXPECT_EQ(factor.size(), 1);
  EXPECT_NE(factor.item(), 1.0f);
  EXPECT_LT(std::abs(factor.item() - 1.0f), 0.1f);
  EXPECT_NE(content.tensors.at(std::string("adamw/first/") + kFactor).item(), 0.0f);
  EXPECT_GT(content.tensors.at(std::string("adamw/second/") + kFactor).item(), 0.0f);
  const CheckpointContent best = CheckpointFolder(training.folder / "checkpoints", 1).best()->content;
  EXPECT_TRUE(best.tensors.contains(std::string("quantizer/") + kFactor));

  // The gradient's norm has it: clipping covers it.
  TinyTraining without(testing::tiny_trainer_config(), WithFactor::rules());
  without.run();
  EXPECT_GT(training.steps.front().grad_norm, without.steps.front().grad_norm);
  for (const auto& [name, tensor] : without.newest().tensors) EXPECT_FALSE(name.starts_with("quantizer/")) << name;
}

TEST(TrainedQuantizer, AKilledTrainingThatIsResumedEqualsOneThatNeverWas) {
  testing::expect_killing_changes_nothing([] { return std::make_unique<WithFactor>(); });
}

TEST(TrainedQuantizer, RecomputedBlocksGiveTheSameBits) { testing::expect_recomputing_changes_nothing<WithFactor>(); }

TEST(TrainedQuantizer, ACheckpointOfOtherQuantizersIsRefused) {
  WithFactor training;
  training.config.train.steps = 1;
  training.run();
  training.change_quantizers = nullptr;
  testing::expect_mentions(
      testing::error_of([&] { training.run(); }),
      {"expected no tensors but the model's, got adamw/first/model.layers.1.self_attn.o_proj.input.factor as well"});
}

}  // namespace
}  // namespace qad
