// Models whose layers differ (Llama-Nemotron): a part that a block lacks adds nothing.
#include <gtest/gtest.h>

#include <map>

#include "autograd/ops/rms_norm.h"
#include "models/decode/generate.h"
#include "models/families/hf_config.h"
#include "models/families/registry.h"
#include "models/import/model_folder.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

ModelConfig with_blocks() {
  ModelConfig config = testing::small_config(false);
  config.model_type = "nemotron-nas";
  config.num_hidden_layers = 4;
  config.num_key_value_heads = 4;
  config.intermediate_size = 512;
  config.initializer_range = 0.3;
  config.blocks = {{2, 512}, {0, 256}, {4, 0}, {0, 0}};
  return config;
}

Tensor logits(LanguageModel& model, const TokenBatch& batch) {
  const NoGradScope no_grad;
  return logits_of(model, model.hidden_states(batch).value());
}

TEST(Blocks, WhatIsNotThereAddsNothing) {
  const auto model = initialize_model(with_blocks(), 5);
  std::map<std::string, Tensor> values;
  for (const ParameterPointer& parameter : model->parameters()) values[parameter->name] = parameter->value();
  EXPECT_FALSE(values.contains("model.layers.1.self_attn.q_proj.weight"));
  EXPECT_FALSE(values.contains("model.layers.1.input_layernorm.weight"));
  EXPECT_FALSE(values.contains("model.layers.2.mlp.down_proj.weight"));
  // The same weights in blocks that have every part, where what the first model lacks is all zeros.
  ModelConfig whole = with_blocks();
  whole.blocks = {{2, 512}, {2, 256}, {4, 256}, {2, 256}};
  const auto padded = make_model(whole, [&](const ParameterSpec& spec) {
    const auto found = values.find(spec.name);
    return make_parameter(spec.name, found != values.end() ? found->second : Tensor::zeros(spec.shape), false);
  });
  const TokenBatch batch = testing::small_batch();
  const Tensor own = logits(*model, batch), other = logits(*padded, batch);
  for (std::int64_t i = 0; i < own.size(); ++i) ASSERT_EQ(own.data()[i], other.data()[i]);
}

TEST(Blocks, DecodingWithACacheSaysTheSame) {
  const auto model = initialize_model(with_blocks(), 6);
  const auto texts = generate(*model, {{1, 2, 3}, {9}}, {.max_tokens = 16});
  for (const GeneratedSequence& text : texts) {
    TokenBatch batch;
    batch.ids = text.ids;
    for (std::size_t t = 0; t < text.ids.size(); ++t) batch.positions.push_back(static_cast<std::int32_t>(t));
    batch.segments = {{0, static_cast<std::int32_t>(text.ids.size())}};
    const Tensor all = logits(*model, batch);
    for (auto t = static_cast<std::size_t>(text.prompt_tokens); t < text.ids.size(); ++t) {
      const float* row = all.data() + (static_cast<std::int64_t>(t) - 1) * all.cols();
      EXPECT_EQ(std::max_element(row, row + all.cols()) - row, text.ids[t]);
    }
  }
}

TEST(Blocks, SavedAndLoadedTheyAreTheSame) {
  const testing::TemporaryFolder folder;
  const auto model = initialize_model(with_blocks(), 7);
  save_model(folder / "model", *model, DType::f32);
  const auto loaded = load_model(folder / "model", WeightType::file);
  EXPECT_EQ(loaded->config().blocks, with_blocks().blocks);
  const TokenBatch batch = testing::small_batch();
  const Tensor own = logits(*model, batch), other = logits(*loaded, batch);
  for (std::int64_t i = 0; i < own.size(); ++i) ASSERT_EQ(own.data()[i], other.data()[i]);
}

// Sizes and multiples as in Llama-3.3-Nemotron-Super: 5.25 is the whole width of Llama 70B.
std::string super_config(const std::string& block) {
  return R"({"model_type": "nemotron-nas", "vocab_size": 128256, "hidden_size": 8192, "intermediate_size": null,
    "num_hidden_layers": 3, "num_attention_heads": 64, "num_key_value_heads": null, "rope_theta": 500000.0,
    "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                     "original_max_position_embeddings": 8192}, "block_configs": [
    {"attention": {"n_heads_in_group": 8, "no_op": false, "replace_with_linear": false, "sparsify": null},
     "ffn": {"ffn_mult": 5.25, "no_op": false, "replace_with_linear": false, "sparsify": null}},
    {"attention": {"n_heads_in_group": null, "no_op": true}, "ffn": {"ffn_mult": 2.625}}, )" +
         block + "]}";
}

TEST(Blocks, ConfigOfLlamaNemotronSuper) {
  const ModelConfig config = parse_hf_config(
      super_config(R"({"attention": {"n_heads_in_group": 16}, "ffn": {"ffn_mult": null, "no_op": true}})"), "c");
  const std::vector<BlockConfig> expected = {{8, 28672}, {0, 14336}, {4, 0}};
  EXPECT_EQ(config.blocks, expected);
  EXPECT_EQ(config.intermediate_size, 28672);
  EXPECT_EQ(config.num_key_value_heads, 8);
  EXPECT_EQ(parse_hf_config(to_hf_config(config, "bfloat16"), "written").blocks, expected);
  const auto message = [](const char* block) {
    return testing::error_of([&] { (void)parse_hf_config(super_config(block), "c"); });
  };
  EXPECT_EQ(message(R"({"attention": {"sparsify": true}})"),
            "c: block_configs[2]: attention: expected sparsify not to be there, got true (blocks with it are not "
            "supported)");
  EXPECT_EQ(message(R"({"attention": {"no_op": true, "replace_with_linear": true}})"),
            "c: block_configs[2]: attention: expected no_op or replace_with_linear, not both, got true");
}

TEST(Blocks, AMatrixInPlaceOfALayer) {
  const ModelConfig config = parse_hf_config(
      super_config(R"({"attention": {"replace_with_linear": true}, "ffn": {"replace_with_linear": true}})"), "c");
  BlockConfig linear;
  linear.linear_attention = linear.linear_feed_forward = true;
  EXPECT_EQ(config.blocks[2], linear);
  EXPECT_EQ(parse_hf_config(to_hf_config(config, "bfloat16"), "written").blocks, config.blocks);
  const ModelConfig narrow = parse_hf_config(
      super_config(R"({"attention": {"n_heads_in_group": 8}, "ffn": {"ffn_mult": null, "intermediate_size": 1000}})"),
      "c");
  EXPECT_EQ(narrow.blocks[2].intermediate_size, 1000);
  EXPECT_EQ(parse_hf_config(to_hf_config(narrow, "bfloat16"), "written").blocks, narrow.blocks);

  ModelConfig small = testing::small_config();
  small.model_type = "nemotron-nas";
  small.blocks = {{2, 256}, linear};
  small.num_key_value_heads = 2;
  small.intermediate_size = 256;
  const auto model = initialize_model(small, 3);
  const NoGradScope no_grad;
  const TokenBatch batch = testing::small_batch();
  const ForwardPlan plan = LanguageModel::plan_of(batch);
  const Variable x = model->blocks()[0](model->embed(batch), plan, nullptr);
  const Tensor y = model->blocks()[1](x, plan, nullptr).value();
  Tensor expected = x.value().clone();
  for (const char* name : {"self_attn.linear_attn", "mlp.linear_mlp"}) {
    const auto value = [&](const std::string& of) {
      for (const ParameterPointer& parameter : model->parameters())
        if (parameter->name == "model.layers.1." + of + ".weight") return parameter->value();
      return Tensor();
    };
    const std::string norm = name[0] == 's' ? "input_layernorm" : "post_attention_layernorm";
    const Tensor product =
        times_transposed(rms_norm(Variable(expected), Variable(value(norm)), 1e-6f).value(), *operand_of(value(name)));
    for (std::int64_t i = 0; i < expected.size(); ++i) expected.data()[i] += product.data()[i];
  }
  for (std::int64_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y.data()[i], expected.data()[i], 1e-6);
}

}  // namespace
}  // namespace qad
