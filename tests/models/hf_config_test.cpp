// What a config.json says, what it leaves to a family's defaults, and which sizes no config.json can say.
#include "models/families/hf_config.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "models/import/model_folder.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using Json = nlohmann::ordered_json;
using Sizes = std::vector<std::int64_t>;

Json config_json(const std::string& model_type, const Json& more = Json::object()) {
  Json json = {{"model_type", model_type}, {"vocab_size", 64},       {"hidden_size", 32},
               {"intermediate_size", 48},  {"num_hidden_layers", 4}, {"num_attention_heads", 4},
               {"num_key_value_heads", 4}};
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

TEST(SlidingWindow, WhatLayerTypesSayIsWhatIsRead) {
  const Json full = {"full_attention", "full_attention", "full_attention", "full_attention"};
  const Json sliding = {"sliding_attention", "sliding_attention", "sliding_attention", "sliding_attention"};
  const auto with = [](const std::string& type, const Json& types, const Json& window) {
    return [=] { (void)parsed(type, {{"layer_types", types}, {"sliding_window", window}}); };
  };
  for (const char* type : {"llama", "qwen2", "qwen3"}) {
    EXPECT_NO_THROW(with(type, full, 8)());
    expect_refused(with(type, sliding, 8), "full_attention alone in layer_types of a model without a sliding window");
  }
  EXPECT_NO_THROW(with("mistral", sliding, 8)());
  EXPECT_NO_THROW(with("mistral", full, nullptr)());
  expect_refused(with("mistral", full, 8), "sliding_attention in all layer_types");
  expect_refused(with("mistral", sliding, nullptr), "full_attention alone");
  expect_refused(with("llama", {"full_attention"}, 8), "layer_types of all layers");
  expect_refused(with("llama", "full_attention", 8), "a list for layer_types");
}

TEST(SlidingWindow, IsAtLeastTheTokenItself) {
  for (const Json& window : {Json(0), Json(-1), Json(true), Json("8"), Json(2.5), Json(1e308)}) {
    expect_refused([&] { (void)parsed("mistral", {{"sliding_window", window}}); }, "for sliding_window, got");
    expect_refused(
        [&] {
          (void)parsed("qwen2", {{"use_sliding_window", true}, {"sliding_window", window}});
        },
        "for sliding_window, got");
    EXPECT_EQ(parsed("qwen2", {{"sliding_window", window}}).sliding_window, 0);  // nothing reads it
  }
  expect_refused([] { (void)parsed("qwen2", {{"use_sliding_window", 1}}); }, "true or false for use_sliding_window");
  expect_refused([] { (void)parsed("qwen2", {{"max_window_layers", -1}}); }, "max_window_layers");
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

// transformers 5.24's classes, which a config need not repeat.
TEST(HfConfig, KeysThatAreMissingAreTheFamilys) {
  struct Expected {
    const char* type;
    std::int64_t vocabulary, width, key_heads, head, context, window;
  };
  for (const Expected& e :
       {Expected{"llama", 32000, 11008, 32, 128, 2048, 0}, Expected{"mistral", 32000, 14336, 8, 128, 131072, 4096},
        Expected{"qwen2", 151936, 22016, 32, 128, 32768, 0}, Expected{"qwen3", 151936, 22016, 32, 128, 32768, 0}}) {
    const ModelConfig config = parse_hf_config(Json({{"model_type", e.type}}).dump(), "config.json");
    EXPECT_EQ(config.vocab_size, e.vocabulary) << e.type;
    EXPECT_EQ(config.hidden_size, 4096) << e.type;
    EXPECT_EQ(config.intermediate_size, e.width) << e.type;
    EXPECT_EQ(config.num_hidden_layers, 32) << e.type;
    EXPECT_EQ(config.num_attention_heads, 32) << e.type;
    EXPECT_EQ(config.num_key_value_heads, e.key_heads) << e.type;
    EXPECT_EQ(config.head_size(), e.head) << e.type;
    EXPECT_EQ(config.max_position_embeddings, e.context) << e.type;
    EXPECT_EQ(config.sliding_window, e.window) << e.type;
    EXPECT_EQ(config.rms_norm_eps, 1e-6) << e.type;
    EXPECT_EQ(config.rope_theta, 10000.0) << e.type;
    EXPECT_FALSE(config.tie_word_embeddings) << e.type;
  }
}

TEST(HfConfig, NullIsWhatTransformersMakesOfIt) {
  const Json nulls = {{"num_key_value_heads", nullptr}, {"head_dim", nullptr},         {"tie_word_embeddings", nullptr},
                      {"sliding_window", nullptr},      {"rope_scaling", nullptr},     {"rope_parameters", nullptr},
                      {"layer_types", nullptr},         {"eos_token_id", nullptr},     {"bos_token_id", nullptr},
                      {"quantization_config", nullptr}, {"initializer_range", nullptr}};
  for (const char* type : {"llama", "mistral", "qwen2", "qwen3"}) {
    Json json = config_json(type, nulls);
    const ModelConfig config = parse_hf_config(json.dump(), "config.json");
    EXPECT_EQ(config.num_key_value_heads, 4) << type;  // as many as query heads, whatever the class's default
    EXPECT_EQ(config.head_size(), std::string(type) == "qwen3" ? 128 : 8) << type;
    EXPECT_EQ(config.sliding_window, 0) << type;
    EXPECT_FALSE(config.tie_word_embeddings) << type;
    EXPECT_TRUE(config.eos_token_id.empty()) << type;
    for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "rms_norm_eps",
                            "rope_theta", "hidden_act", "max_position_embeddings", "intermediate_size", "is_causal"})
      expect_refused(
          [&] {
            (void)parsed(type, {{key, nullptr}});
          },
          std::string("config.json: expected a value for ") + key + ", got null");
  }
}

TEST(HfConfig, WhatIsNotHereIsRefusedByItsKey) {
  EXPECT_EQ(parsed("llama", {{"partial_rotary_factor", 1}, {"attn_logit_softcapping", nullptr}}).hidden_size, 32);
  EXPECT_EQ(
      parsed("llama", {{"is_causal", true}, {"logits_scaling", 1.0}, {"no_rope_layers", Json::array()}}).hidden_size,
      32);
  for (const std::string key : {"partial_rotary_factor", "final_logit_softcapping", "num_experts", "block_configs"})
    expect_refused([&] { (void)parsed("llama", {{key, 0.5}}); }, key);
  const Json asks = {{"is_causal", false},
                     {"use_bidirectional_attention", true},
                     {"attention_chunk_size", 8},
                     {"softmax_scale", 8.0},
                     {"query_pre_attn_scalar", 256},
                     {"attention_multiplier", 0.1},
                     {"logits_scaling", 8},
                     {"residual_multiplier", 0.2},
                     {"embedding_multiplier", 12},
                     {"logit_scale", 0.1},
                     {"num_local_experts", 8},
                     {"text_config", Json::object()},
                     {"rope_interleave", true},
                     {"scale_depth", 1.4},
                     {"hidden_activation", "gelu"},
                     {"no_rope_layers", {1, 0}},
                     {"use_qk_norm", true},
                     {"is_encoder_decoder", true},
                     {"clip_qkv", true},
                     {"add_cross_attention", true},
                     {"lm_head_bias", true},
                     {"per_layer_config", {{"0", {{"rms_norm_eps", 1}}}}},
                     {"transformers_weights", "other.safetensors"}};
  for (const auto& [key, value] : asks.items())
    for (const char* type : {"llama", "mistral", "qwen2"})
      expect_refused(
          [&, key = key, value = value] {
            (void)parsed(type, {{key, value}});
          },
          "config.json: expected " + key);
  EXPECT_TRUE(parsed("qwen3", {{"use_qk_norm", true}}).qk_norm);
}

TEST(HfConfig, ActivationsByBothNamesOfSilu) {
  EXPECT_EQ(parsed("llama", {{"hidden_act", "swish"}}).hidden_size, 32);
  for (const Json& act : {Json("gelu"), Json("SiLU"), Json(""), Json(1)})
    expect_refused([&] { (void)parsed("llama", {{"hidden_act", act}}); }, "hidden_act");
}

TEST(HfConfig, NumbersThatAreNoSizesAreRefused) {
  EXPECT_EQ(parsed("llama", {{"max_position_embeddings", 64.0}}).max_position_embeddings, 64);
  for (const Json& value : {Json(2.55556e41), Json(0.5), Json(-1e300), Json(1e18), Json(0), Json(-4), Json(true),
                            Json("4"), Json({4}), Json(INT64_MAX), Json(UINT64_MAX)})
    for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                            "num_attention_heads", "num_key_value_heads", "head_dim", "max_position_embeddings"})
      expect_refused([&] { (void)parsed("llama", {{key, value}}); }, std::string("for ") + key + ", got");
  expect_refused([] { (void)parsed("llama", {{"eos_token_id", {1, 2e40}}}); }, "eos_token_id");
  expect_refused([] { (void)parsed("llama", {{"eos_token_id", {true}}}); }, "eos_token_id");
  expect_refused([] { (void)parsed("llama", {{"num_key_value_heads", 3}}); }, "divides num_attention_heads");
}

TEST(HfConfig, NumbersThatAreNoEpsilonsAreRefused) {
  EXPECT_EQ(parsed("llama", {{"rms_norm_eps", 0.0}}).rms_norm_eps, 0.0);
  EXPECT_EQ(parsed("llama", {{"rms_norm_eps", 1}}).rms_norm_eps, 1.0);
  for (const Json& value : {Json(-1e-6), Json(1e308), Json(true), Json("1e-6"), Json::array()})
    expect_refused([&] { (void)parsed("llama", {{"rms_norm_eps", value}}); }, "for rms_norm_eps, got");
  for (const char* key : {"tie_word_embeddings", "attention_bias", "mlp_bias"})
    for (const Json& value : {Json(0), Json(1), Json("false")})
      expect_refused([&] { (void)parsed("llama", {{key, value}}); }, std::string("true or false for ") + key);
}

// Python's json module writes and reads what JSON has no words for.
TEST(HfConfig, PythonsNumbersMatterOnlyWhereTheyAreRead) {
  const auto with = [](const std::string& member) {
    std::string text = config_json("llama").dump();
    return parse_hf_config(text.replace(0, 1, "{" + member + ","), "config.json");
  };
  EXPECT_EQ(with(R"("time_step_limit": [0.0, Infinity])").hidden_size, 32);
  EXPECT_EQ(with(R"("x": [NaN, -Infinity, 1e999, "NaN \" Infinity"])").hidden_size, 32);
  expect_refused([&] { (void)with(R"("rms_norm_eps": NaN)"); }, "for rms_norm_eps, got NaN");
  expect_refused([&] { (void)with(R"("rope_theta": Infinity)"); }, "for rope_theta, got Infinity");
  expect_refused([&] { (void)with(R"("rope_theta": {"__float__": "Infinity"})"); }, "for rope_theta, got Infinity");
  expect_refused([&] { (void)with(R"("max_position_embeddings": 1e999)"); }, "max_position_embeddings, got Infinity");
  expect_refused([&] { (void)with(R"("clip_qkv": -Infinity)"); }, "clip_qkv not to be there, got -Infinity");
  expect_refused([&] { (void)with(R"("hidden_size": 32)"); }, "every key once, got 'hidden_size' twice");
}

TEST(HfConfig, ModelsThatAreQuantizedAlreadyAreNoTeachers) {
  const testing::TemporaryFolder folder;
  const auto refused_with = [&](const Json& more) {
    write_file_atomically(folder / "config.json", config_json("llama", more).dump());
    expect_refused([&] { check_plain_model(folder.path()); }, "quantized already, by \"fp8\"");
  };
  refused_with({{"quantization_config", {{"quant_method", "fp8"}}}});
  refused_with({{"compression_config", {{"quant_method", "fp8"}}}});
  write_file_atomically(folder / "config.json", config_json("llama", {{"quantization_config", nullptr}}).dump());
  EXPECT_NO_THROW(check_plain_model(folder.path()));
  write_file_atomically(folder / "hf_quant_config.json", "{}");
  expect_refused([&] { check_plain_model(folder.path()); },
                 "hf_quant_config.json: expected a model in a floating type");
}

TEST(HfConfig, AHubNameSaysHowItIsDownloaded) {
  expect_refused([] { check_model_folder("meta-llama/Llama-3.2-1B"); },
                 "hf download meta-llama/Llama-3.2-1B --local-dir");
  EXPECT_EQ(download_hint("gpt2"), "if it is on the hub: hf download gpt2 --local-dir gpt2");
  const std::string of_qwen = "if it is on the hub: hf download Qwen/Qwen3-0.6B";
  for (const char* path : {"hf://Qwen/Qwen3-0.6B", "https://huggingface.co/Qwen/Qwen3-0.6B", "hf.co/Qwen/Qwen3-0.6B"})
    for (const auto& said : {std::filesystem::path(path), std::filesystem::absolute(path).lexically_normal()})
      EXPECT_EQ(download_hint(said), of_qwen + " --local-dir Qwen/Qwen3-0.6B, and name that folder") << said;
  for (const char* path : {"Qwen/Qwen3-0.6B@v2", "https://huggingface.co/Qwen/Qwen3-0.6B/tree/v2"})
    EXPECT_EQ(download_hint(path), of_qwen + " --revision v2 --local-dir Qwen/Qwen3-0.6B, and name that folder")
        << path;
  EXPECT_EQ(download_hint("~/models/x"), "shells expand ~ at the beginning of a word only: write $HOME/models/x");
  for (const char* path : {"./absent/model", "/absent", "a/b/c", "/absent/model", "a/b.txt", "a//b", "a/"})
    EXPECT_EQ(download_hint(path), "") << path;
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
    config.rope_scaling = {};
    for (const RopeScalingKind kind : {RopeScalingKind::linear, RopeScalingKind::dynamic, RopeScalingKind::yarn}) {
      config.rope_scaling.rope_type = kind;
      EXPECT_NO_THROW(check_expressible(config, "model")) << type;
    }
    config.rope_scaling.attention_factor = 1.25;
    config.rope_scaling.beta_fast = 16;
    config.rope_scaling.truncate = false;
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
  refused("llama", "model_type to be one of deepseek_v2, ", [](ModelConfig& c) { c.model_type = "mamba"; });
}

}  // namespace
}  // namespace qad
