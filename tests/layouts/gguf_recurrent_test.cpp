// GGUF of families with recurrences: what llama.cpp calls their tensors, in which numbers and axes they stand, the
// sizes by layer, and all of it back again, bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "qad/layouts/registry.h"
#include "qad/layouts/verify_export.h"
#include "tests/layouts/tiny_student.h"
#include "tests/support/error_of.h"
#include "tests/support/hybrid_models.h"

namespace qad {
namespace {

using testing::expect_mentions;
using testing::quantize_blocks;
using testing::tensor_of;
using testing::TinyStudent;

// Inner dimensions of 64 and 128.
ModelConfig hybrid(const std::string& model_type, const std::string& pattern = "") {
  ModelConfig config = testing::small_hybrid(model_type);
  if (model_type == "kimi_linear") config.linear_attention->key_head_dim = config.linear_attention->value_head_dim = 32;
  if (config.experts) {
    config.experts->moe_intermediate_size = 64;
    if (config.experts->shared_expert_intermediate_size > 0) config.experts->shared_expert_intermediate_size = 64;
  }
  if (!pattern.empty()) {
    config.layer_pattern = pattern;
    config.num_hidden_layers = std::ssize(pattern);
    if (model_type == "nemotron_h" && pattern.find(layer_letter::experts) == std::string::npos) config.experts.reset();
  }
  return config;
}

Tensor student_of(const ExportModel& model, const std::string& name) {
  for (const NamedTensor& tensor : model.dense)
    if (tensor.name == name) return as_stored(as_stored(tensor.value, kept_type(tensor.role, DType::bf16)), DType::f32);
  throw std::out_of_range(name);
}
template <class Function>
void expect_numbers(const ExportFiles& files, const std::string& theirs, const ExportModel& model,
                    const std::string& ours, const Shape& shape, Function&& function) {
  const FileTensor& tensor = tensor_of(files, theirs);
  EXPECT_EQ(tensor.dtype, "F32");
  EXPECT_EQ(tensor.data.shape(), shape);
  const Tensor expected = student_of(model, ours);
  ASSERT_EQ(expected.size(), tensor.data.size());
  for (std::int64_t i = 0; i < expected.size(); ++i)
    EXPECT_FLOAT_EQ(tensor.data.data()[i], function(expected.data()[i])) << theirs << " " << i;
}
float same(float x) { return x; }
float negative_exponential(float x) { return -std::exp(x); }

struct Student {
  ExportModel model;
  ExportFiles files;
  explicit Student(const ModelConfig& config, const QuantizeConfig& quantize = quantize_blocks("nvfp4", "nvfp4"))
      : model(TinyStudent(config, quantize).exported()), files(exporter("gguf").pack(model)) {
    verify_export(files, exporter("gguf"), model);
  }
  [[nodiscard]] std::uint32_t number(const std::string& key) const {
    return *find_metadata<std::uint32_t>(files.metadata, key);
  }
  [[nodiscard]] std::vector<std::int32_t> by_layer(const std::string& key) const {
    return *find_metadata<std::vector<std::int32_t>>(files.metadata, key);
  }
};

TEST(GgufRecurrent, MambaLayers) {
  for (const auto& [family, architecture] : {std::pair{"mamba2", "mamba2"}, {"nemotron_h", "nemotron_h_moe"}}) {
    const Student student(hybrid(family, std::string(family) == "mamba2" ? "" : "MEM*"));
    const std::string ours = "backbone.layers.0.mixer.";
    const auto expect = [&](const char* theirs, const std::string& name, const Shape& shape, auto function) {
      expect_numbers(student.files, std::string("blk.0.") + theirs, student.model, ours + name, shape, function);
    };
    expect("ssm_a", "A_log", {8, 1}, negative_exponential);
    expect("ssm_d", "D", {8, 1}, same);
    expect("ssm_dt.bias", "dt_bias", {8}, same);
    expect("ssm_conv1d.weight", "conv1d.weight", {192, 4}, same);
    expect("ssm_conv1d.bias", "conv1d.bias", {192}, same);
    expect("ssm_norm.weight", "norm.weight", {2, 64}, same);
    EXPECT_EQ(tensor_of(student.files, "blk.0.ssm_in.weight").dtype, "NVFP4");
    EXPECT_EQ(tensor_of(student.files, "blk.0.ssm_out.scale").data.shape(), Shape{1});
    EXPECT_EQ(tensor_of(student.files, "blk.0.attn_norm.weight").dtype, "F32");
    EXPECT_EQ(*find_metadata<std::string>(student.files.metadata, "general.architecture"), architecture);
    const std::string key = std::string(architecture) + ".ssm.";
    EXPECT_EQ(student.number(key + "conv_kernel"), 4u);
    EXPECT_EQ(student.number(key + "inner_size"), 128u);
    EXPECT_EQ(student.number(key + "state_size"), 16u);
    EXPECT_EQ(student.number(key + "time_step_rank"), 8u);
    EXPECT_EQ(student.number(key + "group_count"), 2u);
  }
}

TEST(GgufRecurrent, NemotronSaysByLayerWhatItHas) {
  const Student dense(hybrid("nemotron_h", "M-*M"));
  EXPECT_EQ(dense.by_layer("nemotron_h.feed_forward_length"), (std::vector<std::int32_t>{0, 64, 0, 0}));
  EXPECT_EQ(dense.by_layer("nemotron_h.attention.head_count_kv"), (std::vector<std::int32_t>{0, 0, 4, 0}));
  EXPECT_EQ(tensor_of(dense.files, "blk.1.ffn_up.weight").dtype, "NVFP4");
  EXPECT_EQ(tensor_of(dense.files, "blk.2.attn_output.weight").dtype, "NVFP4");

  const Student sparse(hybrid("nemotron_h", "ME*"));
  EXPECT_EQ(sparse.by_layer("nemotron_h_moe.feed_forward_length"), (std::vector<std::int32_t>{0, 64, 0}));
  EXPECT_EQ(sparse.number("nemotron_h_moe.expert_count"), 6u);
  EXPECT_EQ(sparse.number("nemotron_h_moe.expert_shared_feed_forward_length"), 64u);
  EXPECT_EQ(*find_metadata<float>(sparse.files.metadata, "nemotron_h_moe.expert_weights_scale"), 2.5f);
  EXPECT_EQ(tensor_of(sparse.files, "blk.1.ffn_up_exps.weight").data.shape(), (Shape{6, 64, 36}));
  EXPECT_EQ(tensor_of(sparse.files, "blk.1.ffn_down_shexp.weight").dtype, "NVFP4");
  EXPECT_EQ(tensor_of(sparse.files, "blk.1.ffn_gate_inp.weight").dtype, "F32");
  expect_numbers(sparse.files, "blk.1.exp_probs_b.bias", sparse.model,
                 "backbone.layers.1.mixer.gate.e_score_correction_bias", {6}, same);
}

// llama.cpp leaves out scales of NVFP4 in linear attention; MXFP4 has none.
TEST(GgufRecurrent, GatedDeltaNetInAnotherOrderOfRows) {
  ModelConfig config = hybrid("qwen3_next");
  for (const char* weights : {"mxfp4", "none"}) {
    QuantizeConfig quantize = quantize_blocks("mxfp4", "none");
    quantize.rules.push_back({"*linear_attn*", weights, "none"});
    const Student student(config, quantize);
    EXPECT_EQ(*find_metadata<std::string>(student.files.metadata, "general.architecture"), "qwen3next");
    EXPECT_EQ(student.number("qwen3next.full_attention_interval"), 3u);
    EXPECT_EQ(student.number("qwen3next.rope.dimension_count"), 4u);
    EXPECT_EQ(student.number("qwen3next.ssm.inner_size"), 64u);
    EXPECT_EQ(student.number("qwen3next.expert_shared_feed_forward_length"), 64u);
    const auto one_more = [](float x) { return x + 1.0f; };
    const auto expect = [&](const char* theirs, const char* ours, const Shape& shape, auto function) {
      expect_numbers(student.files, theirs, student.model, ours, shape, function);
    };
    expect("output_norm.weight", "model.norm.weight", {64}, one_more);
    expect("blk.0.attn_norm.weight", "model.layers.0.input_layernorm.weight", {64}, one_more);
    expect("blk.2.attn_k_norm.weight", "model.layers.2.self_attn.k_norm.weight", {16}, one_more);
    expect("blk.0.ssm_norm.weight", "model.layers.0.linear_attn.norm.weight", {16}, same);
    expect("blk.0.ssm_a", "model.layers.0.linear_attn.A_log", {4}, negative_exponential);
    expect("blk.0.ssm_conv1d.weight", "model.layers.0.linear_attn.conv1d.weight", {128, 4}, same);
    expect("blk.1.ffn_gate_inp_shexp.weight", "model.layers.1.mlp.shared_expert_gate.weight", {1, 64}, same);
    if (weights != std::string("none")) continue;
    // Two key heads of 16, two value heads of 16 for each: q of the second one is row 96 with us and row 16 there.
    const Tensor ours = student_of(student.model, "model.layers.0.linear_attn.in_proj_qkvz.weight");
    const Tensor qkv = as_stored(tensor_of(student.files, "blk.0.attn_qkv.weight").data, DType::f32);
    const Tensor z = as_stored(tensor_of(student.files, "blk.0.attn_gate.weight").data, DType::f32);
    ASSERT_EQ(qkv.shape(), (Shape{128, 64}));
    ASSERT_EQ(z.shape(), (Shape{64, 64}));
    for (const auto& [row, tensor, there] : {std::tuple{96 + 3, qkv, 16 + 3},
                                             {16, qkv, 32},
                                             {32 + 31, qkv, 64 + 31},
                                             {96 + 32, qkv, 96},
                                             {64, z, 0},
                                             {96 + 64, z, 32}})
      EXPECT_TRUE(std::ranges::equal(ours.slice(row, row + 1).span(), tensor.slice(there, there + 1).span())) << row;
  }
}

TEST(GgufRecurrent, KimiHasItsLatentAttentionByHead) {
  ModelConfig config = hybrid("kimi_linear");
  QuantizeConfig quantize = quantize_blocks("mxfp4", "none");
  quantize.rules.push_back({"*kv_b_proj", "none", "none"});
  const Student student(config, quantize);
  EXPECT_EQ(*find_metadata<std::string>(student.files.metadata, "general.architecture"), "kimi-linear");
  EXPECT_EQ(student.by_layer("kimi-linear.attention.head_count_kv"), (std::vector<std::int32_t>{0, 0, 1}));
  EXPECT_EQ(student.number("kimi-linear.attention.key_length"), 40u);
  EXPECT_EQ(student.number("kimi-linear.attention.key_length_mla"), 24u);
  EXPECT_EQ(student.number("kimi-linear.kda.head_dim"), 32u);
  EXPECT_EQ(student.number("kimi-linear.leading_dense_block_count"), 1u);
  EXPECT_EQ(student.number("kimi-linear.expert_gating_func"), 2u);
  const std::string ours = "model.layers.0.self_attn.";
  expect_numbers(student.files, "blk.0.ssm_a", student.model, ours + "A_log", {4, 1}, negative_exponential);
  expect_numbers(student.files, "blk.0.ssm_dt.bias", student.model, ours + "dt_bias", {128}, same);
  expect_numbers(student.files, "blk.0.ssm_conv1d_k.weight", student.model, ours + "k_conv1d.weight", {128, 1, 4},
                 same);
  EXPECT_EQ(tensor_of(student.files, "blk.1.ffn_down_exps.weight").dtype, "MXFP4");

  // Four heads of 16 keys and 16 values of 32 numbers each.
  const Tensor kv_b = student_of(student.model, "model.layers.2.self_attn.kv_b_proj.weight");
  const Tensor k_b = as_stored(tensor_of(student.files, "blk.2.attn_k_b.weight").data, DType::f32);
  const Tensor v_b = as_stored(tensor_of(student.files, "blk.2.attn_v_b.weight").data, DType::f32);
  ASSERT_EQ(k_b.shape(), (Shape{4, 32, 16}));
  ASSERT_EQ(v_b.shape(), (Shape{4, 16, 32}));
  for (std::int64_t head = 0; head < 4; ++head)
    for (std::int64_t row = 0; row < 16; ++row)
      for (std::int64_t col = 0; col < 32; ++col) {
        EXPECT_EQ(k_b.data()[(head * 32 + col) * 16 + row], kv_b.data()[(head * 32 + row) * 32 + col]);
        EXPECT_EQ(v_b.data()[(head * 16 + row) * 32 + col], kv_b.data()[(head * 32 + 16 + row) * 32 + col]);
      }
}

TEST(GgufRecurrent, CacheScalesBelongToTheLayersThatHaveOne) {
  QuantizeConfig quantize = quantize_blocks("nvfp4", "nvfp4");
  quantize.kv_cache = "fp8";
  const Student student(hybrid("nemotron_h", "M-*M"), quantize);
  const auto& keys = *find_metadata<std::vector<float>>(student.files.metadata, "qad.attention.key_scales");
  ASSERT_EQ(keys.size(), 4u);
  EXPECT_EQ(std::ranges::count(keys, 0.0f), 3);
  EXPECT_GT(keys[2], 0.0f);
}

TEST(GgufRecurrent, OriginalsThatDoNotBelongAreTold) {
  Student student(hybrid("mamba2"));
  for (auto& [key, value] : student.files.metadata)
    if (key == "qad.original.blk.1.ssm_a") std::get<std::vector<float>>(value)[3] += 0.01f;
  expect_mentions(testing::error_of([&] { static_cast<void>(exporter("gguf").unpack(student.files)); }),
                  {"qad.original.blk.1.ssm_a: expected the numbers that blk.1.ssm_a was made of", "damaged"});
}

std::string recurrent_refusal(const ModelConfig& config,
                              const QuantizeConfig& quantize = quantize_blocks("nvfp4", "nvfp4")) {
  return testing::error_of([&] { Student student(config, quantize); });
}

TEST(GgufRecurrent, WhatLlamaCppCantBeToldIsRefused) {
  expect_mentions(recurrent_refusal(hybrid("nemotron_h", "ME*-")), {"hybrid_override_pattern: expected no - beside E"});
  ModelConfig config = hybrid("nemotron_h", "ME*");
  config.experts->moe_latent_size = 64;
  expect_mentions(recurrent_refusal(config),
                  {"*.fc1_latent_proj, *.fc2_latent_proj", "whose scale llama.cpp leaves out"});
  expect_mentions(recurrent_refusal(hybrid("qwen3_next")),
                  {"*.in_proj_qkvz, *.in_proj_ba",
                   "expected no nvfp4 (mxfp4 has no tensor scale) in linear attention, whose scale llama.cpp"});
  expect_mentions(recurrent_refusal(hybrid("kimi_linear")), {"no nvfp4 (mxfp4 has no tensor scale) in kimi_linear"});
  expect_mentions(recurrent_refusal(hybrid("kimi_linear"), quantize_blocks("mxfp4", "none")),
                  {"*.kv_b_proj: expected this layer as it is, since GGUF has a part of it transposed, got mxfp4"});
  expect_mentions(recurrent_refusal(hybrid("qwen3_next", "L*LL*")),
                  {"full attention in every so many layers, got L*LL*"});
  config = hybrid("mamba2");
  config.mamba->conv_bias = false;
  expect_mentions(recurrent_refusal(config), {"use_conv_bias: expected true, got false"});
  config = hybrid("mamba2");
  config.mamba->proj_bias = true;
  expect_mentions(recurrent_refusal(config), {"use_bias: expected false, got true"});
  config = hybrid("mamba2");
  config.mamba->time_step_high = 0.1;
  expect_mentions(recurrent_refusal(config), {"time_step_limit: expected from 0 to infinity, got 0 to 0.1"});
}

}  // namespace
}  // namespace qad
