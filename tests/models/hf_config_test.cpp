// What a config.json says, what it leaves to a family's defaults, and which sizes no config.json can say.
#include "models/hf_config.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "autograd/core/atomic_file.h"
#include "autograd/core/error.h"
#include "models/model_folder.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using Json = nlohmann::ordered_json;
using Sizes = std::vector<std::int64_t>;

Json config_json(const std::string& model_type, const Json& more = Json::object()) {
  Json json = {{"model_type", model_type}, {"vocab_size", 64},       {"hidden_size", 32},
               {"intermediate_size", 48},  {"num_hidden_layers", 4}, {"num_attention_heads", 4}};
  json.update(more);
  return json;
}

ModelConfig parsed(const std::string& model_type, const Json& more = Json::object()) {
  return parse_hf_config(config_json(model_type, more).dump(), "config.json");
}

Sizes windows_of(const ModelConfig& config) {
  Sizes windows;
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i) windows.push_back(config.window_of(i));
  return windows;
}

ModelConfig family(const std::string& model_type) {
  ModelConfig config;
  config.model_type = model_type;
  config.qk_norm = model_type == "qwen3";
  config.attention_bias = model_type == "qwen2";
  return config;
}

void expect_refused(const std::function<void()>& function, const std::string& words) {
  try {
    function();
    ADD_FAILURE() << "no error, expected: " << words;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
  }
}

TEST(SlidingWindow, LlamaHasNone) {
  EXPECT_EQ(windows_of(parsed("llama", {{"sliding_window", 8}, {"use_sliding_window", true}})), Sizes(4, 0));
}

TEST(SlidingWindow, MistralHasOneUnlessItIsNull) {
  EXPECT_EQ(windows_of(parsed("mistral")), Sizes(4, 4096));
  EXPECT_EQ(windows_of(parsed("mistral", {{"sliding_window", 8}})), Sizes(4, 8));
  EXPECT_EQ(windows_of(parsed("mistral", {{"sliding_window", nullptr}})), Sizes(4, 0));
}

TEST(SlidingWindow, QwenHasOneWhereItSaysSo) {
  for (const char* type : {"qwen2", "qwen3"}) {
    EXPECT_EQ(windows_of(parsed(type, {{"sliding_window", 8}, {"max_window_layers", 0}})), Sizes(4, 0));
    EXPECT_EQ(windows_of(parsed(type, {{"use_sliding_window", true}, {"sliding_window", 8}})), Sizes(4, 0));
    EXPECT_EQ(windows_of(parsed(type, {{"use_sliding_window", true}, {"max_window_layers", 3}})),
              Sizes({0, 0, 0, 4096}));
    EXPECT_EQ(parsed(type, {{"use_sliding_window", true}}).max_window_layers, 28);
  }
}

TEST(SlidingWindow, LayerTypesDecide) {
  const auto with = [](const std::vector<std::string>& types) {
    return parsed("qwen2", {{"use_sliding_window", true}, {"sliding_window", 8}, {"layer_types", types}});
  };
  const std::string full = "full_attention", sliding = "sliding_attention";
  EXPECT_EQ(windows_of(with({full, sliding, sliding, sliding})), Sizes({0, 8, 8, 8}));
  EXPECT_EQ(windows_of(with({full, full, full, full})), Sizes(4, 0));
  expect_refused([&] { static_cast<void>(with({sliding, full, sliding, full})); }, "config.json: expected layer_types");
  expect_refused([&] { static_cast<void>(with({full, sliding})); }, "layer_types of all layers");
}

TEST(SlidingWindow, ReachesTheLayersOfAModel) {
  ModelConfig config = family("qwen2");
  config.sliding_window = 8;
  config.max_window_layers = 1;
  const auto model = initialize_model(config, 1);
  Sizes windows;
  for (const SelfAttention* layer : model->attention_layers()) windows.push_back(layer->config.window);
  EXPECT_EQ(windows, Sizes({0, 8}));
}

TEST(HfConfig, DefaultsOfTheFamilies) {
  EXPECT_EQ(parsed("qwen3").head_size(), 128);
  EXPECT_EQ(parsed("qwen2").head_size(), 8);
  EXPECT_TRUE(parsed("qwen2").attention_bias);
  EXPECT_FALSE(parsed("qwen2").attention_output_bias);
  EXPECT_FALSE(parsed("mistral", {{"attention_bias", true}}).attention_bias);
  EXPECT_TRUE(parsed("qwen3", {{"attention_bias", true}}).attention_output_bias);
}

TEST(HfConfig, OnlyQwenSaysWhetherItUsesItsWindow) {
  for (const char* type : {"llama", "mistral", "qwen2", "qwen3"}) {
    const Json json = Json::parse(to_hf_config(family(type), "float32"));
    const bool is_qwen = std::string(type).starts_with("qwen");
    EXPECT_EQ(json.contains("use_sliding_window"), is_qwen) << type;
    EXPECT_EQ(json.contains("max_window_layers"), is_qwen) << type;
  }
}

TEST(HfConfig, WhatIsNotHereIsRefusedByItsKey) {
  EXPECT_EQ(parsed("llama", {{"partial_rotary_factor", 1}, {"attn_logit_softcapping", nullptr}}).hidden_size, 32);
  for (const std::string key : {"partial_rotary_factor", "final_logit_softcapping", "num_experts", "block_configs"})
    expect_refused([&] { (void)parsed("llama", {{key, 0.5}}); }, key);
}

TEST(HfConfig, NumbersThatAreNoSizesAreRefused) {
  EXPECT_EQ(parsed("llama", {{"max_position_embeddings", 64.0}}).max_position_embeddings, 64);
  for (const double value : {2.55556e41, 0.5, -1e300, 1e18}) {
    expect_refused([&] { (void)parsed("llama", {{"vocab_size", value}}); }, "vocab_size");
    expect_refused([&] { (void)parsed("llama", {{"hidden_size", value}}); }, "hidden_size");
  }
  expect_refused([] { (void)parsed("llama", {{"eos_token_id", {1, 2e40}}}); }, "eos_token_id");
}

TEST(Expressible, WhatConfigJsonSays) {
  for (const char* type : {"llama", "mistral", "qwen2", "qwen3"}) {
    ModelConfig config = family(type);
    EXPECT_NO_THROW(check_expressible(config, "model")) << type;
    config.head_dim = 64;
    config.eos_token_id = {1, 2};
    config.rope_scaling.rope_type = RopeScalingKind::llama3;
    config.rope_scaling.factor = 32;
    config.rms_norm_eps = 1e-5;
    if (config.model_type != "llama") config.sliding_window = 8;
    EXPECT_NO_THROW(check_expressible(config, "model")) << type;
  }
  ModelConfig biased = family("llama");
  biased.attention_bias = biased.attention_output_bias = biased.mlp_bias = true;
  EXPECT_NO_THROW(check_expressible(biased, "model"));
  ModelConfig late = family("qwen3");
  late.sliding_window = 8;
  late.max_window_layers = 1;
  EXPECT_NO_THROW(check_expressible(late, "model"));
}

TEST(Expressible, NamesTheKeyThatConfigJsonCannotSay) {
  const auto refused = [](const std::string& type, const std::string& words, void (*change)(ModelConfig&)) {
    ModelConfig config = family(type);
    change(config);
    expect_refused([&] { check_expressible(config, "model"); }, "model: expected " + words);
    expect_refused([&] { static_cast<void>(initialize_model(config, 1)); }, words);
  };
  refused("qwen3", "qk_norm true for model_type qwen3, got false", [](ModelConfig& c) { c.qk_norm = false; });
  refused("qwen2", "attention_bias true", [](ModelConfig& c) { c.attention_bias = false; });
  refused("llama", "attention_output_bias true", [](ModelConfig& c) { c.attention_bias = true; });
  refused("llama", "qk_norm false", [](ModelConfig& c) { c.qk_norm = true; });
  refused("mistral", "attention_bias false", [](ModelConfig& c) { c.attention_bias = c.attention_output_bias = true; });
  refused("mistral", "mlp_bias false", [](ModelConfig& c) { c.mlp_bias = true; });
  refused("mistral", "max_window_layers 0", [](ModelConfig& c) { c.max_window_layers = 1; });
  refused("llama", "sliding_window 0", [](ModelConfig& c) { c.sliding_window = 8; });
  refused("llama", "rope_scaling", [](ModelConfig& c) { c.rope_scaling.factor = 4; });
  refused("llama", "model_type to be one of llama, ", [](ModelConfig& c) { c.model_type = "mamba"; });
}

TEST(EndTokens, ThoseOfGenerationConfigCountToo) {
  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "config.json", config_json("llama", {{"eos_token_id", 2}}).dump());
  EXPECT_EQ(read_hf_config(folder.path()).eos_token_id, Sizes({2}));
  write_file_atomically(folder / "generation_config.json", R"({"eos_token_id": [3, 2, 5]})");
  EXPECT_EQ(read_hf_config(folder.path()).eos_token_id, Sizes({2, 3, 5}));
  write_file_atomically(folder / "generation_config.json", R"({"eos_token_id": 7})");
  EXPECT_EQ(read_hf_config(folder.path()).eos_token_id, Sizes({2, 7}));
  write_file_atomically(folder / "generation_config.json", R"({"eos_token_id": null})");
  EXPECT_EQ(read_hf_config(folder.path()).eos_token_id, Sizes({2}));
  write_file_atomically(folder / "generation_config.json", "[");
  expect_refused([&] { static_cast<void>(read_hf_config(folder.path())); }, "generation_config.json: expected a JSON");
}

}  // namespace
}  // namespace qad
