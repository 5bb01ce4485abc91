// Damaged models with experts and recurrences: what is said names the file and the key or the tensor, in one line.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "data/files/safetensors_writer.h"
#include "models/families/hf_config.h"
#include "models/import/model_folder.h"
#include "tests/support/error_of.h"
#include "tests/support/hybrid_models.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using Tensors = std::map<std::string, Tensor>;

std::string said_of(const nlohmann::json& config) {
  return testing::error_of([&] { static_cast<void>(parse_hf_config(config.dump(), "config.json")); });
}

struct BadKey {
  const char *family, *key;
  nlohmann::json value;
  const char* told;
};

TEST(BadFamilies, KeysOfConfigJson) {
  const nlohmann::json names = {"full_attention", "sliding", "linear_attention"};
  const nlohmann::json infinity = {{"__float__", "Infinity"}};
  const std::vector<BadKey> keys = {
      {"nemotron_h", "hybrid_override_pattern", "MEM*X", "a hybrid_override_pattern of M, *, E and -"},
      {"nemotron_h", "hybrid_override_pattern", "", "letters in hybrid_override_pattern"},
      {"nemotron_h", "num_hidden_layers", 6, "num_hidden_layers as the pattern of the layers is long, 5"},
      {"nemotron_h", "num_experts_per_tok", 7, "num_experts_per_tok of at most num_experts = 6"},
      {"nemotron_h", "n_group", 4, "n_group that divides the number of experts, 6"},
      {"nemotron_h", "n_routed_experts", 2'000'000'000, "at most 100000 experts in all layers together"},
      {"nemotron_h", "n_groups", 3, "n_groups that divides the 8 heads of the recurrence"},
      {"nemotron_h", "ssm_state_size", 1 << 24, "whose product, the state of a head, is at most 4194304"},
      {"nemotron_h", "conv_kernel", 1 << 30, "at most 1024 for conv_kernel"},
      {"nemotron_h", "moe_latent_size", -1, "from 1 up, below 2^31, for moe_latent_size, got -1"},
      {"nemotron_h", "time_step_limit", {0, {{"__float__", 5}}}, "two numbers for time_step_limit"},
      {"mamba2", "time_step_limit", {infinity, infinity}, "a time_step_limit from a number of at least 0"},
      {"mamba2", "num_hidden_layers", 2'147'483'647, "at most 10000 for num_hidden_layers"},
      {"qwen3_next", "num_hidden_layers", 2'147'483'647, "at most 10000 for num_hidden_layers"},
      {"qwen3_next", "linear_key_head_dim", 1 << 20, "at most 4194304, got 1048576 and 16"},
      {"qwen3_next", "linear_num_value_heads", 3, "key heads of linear attention that divide the 3 value heads"},
      {"qwen3_next", "layer_types", names, "layer_types among full_attention, linear_attention"},
      {"qwen3_next", "layer_types", nlohmann::json::array(), "names in layer_types"},
      {"qwen3_next", "layer_types", {"full_attention"}, "for each of 3 layers"},
      {"qwen3_next", "attn_output_gate", false, "attn_output_gate to be true"},
      {"kimi_linear",
       "linear_attn_config",
       {{"full_attn_layers", {4}}},
       "full_attn_layers from 1 to num_hidden_layers"},
      {"kimi_linear",
       "linear_attn_config",
       {{"full_attn_layers", {3}}, {"kda_layers", {1, 2, 3}}},
       "every layer once in full_attn_layers or kda_layers"},
      {"kimi_linear",
       "linear_attn_config",
       {{"full_attn_layers", {3}}, {"kda_layers", {1}}},
       "every layer in full_attn_layers or kda_layers, from 1"},
      {"kimi_linear", "linear_attn_config", 5, "an object for linear_attn_config"}};
  for (const BadKey& bad : keys) {
    nlohmann::json config = nlohmann::json::parse(to_hf_config(testing::small_hybrid(bad.family), "bfloat16"));
    ASSERT_EQ(said_of(config), "no error") << bad.family;
    config[bad.key] = bad.value;
    const std::string said = said_of(config);
    testing::expect_mentions(said, {"config.json", bad.told});
    EXPECT_EQ(said.find('\n'), std::string::npos) << said;
  }
}

// Python's None is no truth, whatever a family takes for what isn't said; seen in transformers, by logits.
TEST(NullKeys, AreNoTruth) {
  const auto with_null = [](nlohmann::json config, const char* key) {
    config[key] = nullptr;
    return config;
  };
  const auto read = [](const nlohmann::json& config) { return parse_hf_config(config.dump(), "config.json"); };
  const nlohmann::json kimi = nlohmann::json::parse(to_hf_config(testing::small_hybrid("kimi_linear"), "bfloat16"));
  EXPECT_FALSE(read(with_null(kimi, "moe_renormalize")).experts->norm_topk_prob);
  nlohmann::json qwen = nlohmann::json::parse(to_hf_config(testing::small_hybrid("qwen3_next"), "bfloat16"));
  for (const char* section : {"rope_scaling", "rope_parameters"}) qwen.erase(section);
  EXPECT_EQ(read(with_null(qwen, "partial_rotary_factor")).partial_rotary_factor, 1.0);
  const nlohmann::json deepseek = {{"model_type", "deepseek_v3"}, {"qk_rope_head_dim", 8}, {"num_hidden_layers", 4}};
  EXPECT_TRUE(read(deepseek).experts->norm_topk_prob);
  EXPECT_FALSE(read(with_null(deepseek, "norm_topk_prob")).experts->norm_topk_prob);
  testing::expect_mentions(said_of(with_null(deepseek, "rope_interleave")), {"rope_interleave to be true", "null"});
}

class BadFamilyWeights : public ::testing::Test {
 protected:
  // What loading says of a model whose tensors `change` has changed.
  std::string refusal(const std::string& family, const std::function<void(Tensors&)>& change) {
    const auto model = initialize_model(testing::small_hybrid(family), 1);
    Tensors tensors;
    for (const ParameterPointer& parameter : model->parameters())
      tensors[parameter->name] = parameter->value().to(DType::f32);
    change(tensors);
    std::vector<SafetensorsEntry> entries;
    for (const auto& [name, tensor] : tensors) entries.push_back(safetensors_entry(name, tensor));
    write_safetensors(folder_ / "model.safetensors", entries);
    write_file_atomically(folder_ / "config.json", to_hf_config(model->config(), "float32"));
    return testing::error_of([&] { static_cast<void>(load_model(folder_.path(), WeightType::bf16)); });
  }
  testing::TemporaryFolder folder_;
};

TEST_F(BadFamilyWeights, TensorsThatAreMissing) {
  EXPECT_EQ(refusal("nemotron_h", [](Tensors&) {}), "no error");
  for (const auto& [family, name] :
       std::map<std::string, std::string>{{"nemotron_h", "backbone.layers.1.mixer.experts.3.up_proj.weight"},
                                          {"kimi_linear", "model.layers.0.self_attn.q_conv1d.weight"},
                                          {"qwen3_next", "model.layers.1.mlp.shared_expert.down_proj.weight"},
                                          {"mamba2", "backbone.layers.1.mixer.conv1d.weight"}}) {
    const std::string said =
        refusal(family, [&, gone = name](Tensors& tensors) { ASSERT_EQ(tensors.erase(gone), 1u); });
    testing::expect_mentions(said, {folder_.path().c_str(), ("expected a tensor '" + name + "', got none").c_str()});
  }
}

TEST_F(BadFamilyWeights, NumbersOfADecayThatAreNone) {
  for (const char* name : {"A_log", "D", "dt_bias"})
    for (const float value : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      const std::string full = std::string("backbone.layers.1.mixer.") + name;
      testing::expect_mentions(refusal("mamba2", [&](Tensors& tensors) { tensors.at(full).data()[1] = value; }),
                               {full.c_str(), "expected finite weights, got an infinity or NaN at index 1"});
    }
}

TEST_F(BadFamilyWeights, OtherTapsAndStackedExpertsTheOtherWay) {
  const std::string taps = "backbone.layers.0.mixer.conv1d.weight";
  testing::expect_mentions(refusal("mamba2",
                                   [&](Tensors& tensors) {
                                     Tensor& tensor = tensors.at(taps);
                                     tensor = Tensor::zeros({tensor.shape()[0], 1, 3});
                                   }),
                           {taps.c_str(), "expected shape [", ", 1, 4], got [", ", 1, 3]"});
  const std::string experts = "model.layers.0.mlp.experts.";
  testing::expect_mentions(refusal("qwen3_next",
                                   [&](Tensors& tensors) {
                                     for (int e = 0; e < 6; ++e)
                                       tensors.erase(experts + std::to_string(e) + ".down_proj.weight");
                                     tensors[experts + "down_proj"] = Tensor::zeros({6, 32, 64});
                                   }),
                           {(experts + "down_proj: expected shape [6, 64, 32], got [6, 32, 64]").c_str(),
                            "stacked experts are read as [experts, out, in]"});
}

}  // namespace
}  // namespace qad
