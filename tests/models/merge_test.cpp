// The average of models: its values, what keeps its bits, and what is refused.
#include "models/import/merge.h"

#include <gtest/gtest.h>

#include "models/import/model_folder.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

class Merge : public ::testing::Test {
 protected:
  std::string save(const std::string& name, const ModelConfig& config, std::uint64_t seed) {
    save_model(folder_ / name, *initialize_model(config, seed), DType::bf16);
    return (folder_ / name).string();
  }
  testing::TemporaryFolder folder_;
  std::string a_ = save("a", testing::small_config(), 1), b_ = save("b", testing::small_config(), 2);
};

TEST_F(Merge, IsTheWeightedMean) {
  const auto merged = merge_models({{{a_, 1.0}, {b_, 3.0}}});
  const auto a = load_model(a_, WeightType::f32), b = load_model(b_, WeightType::f32);
  for (std::size_t i = 0; i < merged->parameters().size(); ++i) {
    EXPECT_TRUE(merged->parameters()[i]->trained());
    const auto values = merged->parameters()[i]->value().span();
    const auto from_a = a->parameters()[i]->value().span(), from_b = b->parameters()[i]->value().span();
    for (std::size_t j = 0; j < values.size(); ++j)
      ASSERT_EQ(values[j],
                static_cast<float>(0.25 * static_cast<double>(from_a[j]) + 0.75 * static_cast<double>(from_b[j])));
  }
}

TEST_F(Merge, OfAModelWithItselfHasItsBits) {
  const auto merged = merge_models({{{a_, 1.0}, {a_, 1.0}, {a_, 0.7}}});
  const auto a = load_model(a_, WeightType::f32);
  for (std::size_t i = 0; i < merged->parameters().size(); ++i) {
    const auto values = merged->parameters()[i]->value().span(), expected = a->parameters()[i]->value().span();
    EXPECT_TRUE(std::equal(values.begin(), values.end(), expected.begin())) << merged->parameters()[i]->name;
  }
}

TEST_F(Merge, NamesTheFirstTensorOrLineThatDiffers) {
  const auto error_with = [&](const ModelConfig& config) {
    return testing::error_of([&] { (void)merge_models({{{a_, 1.0}, {save("c", config, 3), 1.0}}}); });
  };
  ModelConfig config = testing::small_config();
  config.intermediate_size = 64;
  testing::expect_mentions(error_with(config),
                           {"/c: model.layers.0.mlp.gate_proj.weight: expected shape", "[48, 32]", "[64, 32]"});
  config = testing::small_config();
  config.num_hidden_layers = 3;
  testing::expect_mentions(error_with(config), {"/c: expected ", "model.layers.2."});
  config = testing::small_config(false);
  testing::expect_mentions(error_with(config), {"/c: expected no more tensors, got lm_head.weight"});
  config = testing::small_config();
  config.rope_theta = 5e5;
  testing::expect_mentions(error_with(config), {"/c/config.json: expected \"rope_theta\": 10000.0, got"});
}

}  // namespace
}  // namespace qad
