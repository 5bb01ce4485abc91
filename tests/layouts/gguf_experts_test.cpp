// Experts in GGUF: a layer's matrices stacked in one tensor with a scale each, routers in FP32, the sizes that
// llama.cpp asks for, and what it can't be told.
#include <gtest/gtest.h>

#include <algorithm>

#include "qad/layouts/gguf_blocks.h"
#include "qad/layouts/registry.h"
#include "tests/layouts/expert_student.h"
#include "tests/support/bytes.h"
#include "tests/support/error_of.h"

namespace qad {
namespace {

using testing::expect_mentions;
using testing::quantize_blocks;
using testing::tensor_of;
using testing::TinyStudent;

TEST(GgufExperts, StackedWithAScaleEach) {
  TinyStudent student(testing::mixtral_config(), quantize_blocks("nvfp4", "nvfp4"));
  const ExportModel model = student.exported();
  const ExportFiles files = exporter("gguf").pack(model);
  for (const auto& [ours, theirs] : {std::pair{"w1", "gate"}, {"w3", "up"}, {"w2", "down"}}) {
    const std::string name = std::string("blk.1.ffn_") + theirs + "_exps";
    const FileTensor& blocks = tensor_of(files, name + ".weight");
    EXPECT_EQ(blocks.dtype, "NVFP4");
    ASSERT_EQ(blocks.data.shape(), (Shape{6, 64, 36}));
    const Tensor &scales = tensor_of(files, name + ".scale").data,
                 &inputs = tensor_of(files, name + ".input_scale").data;
    ASSERT_EQ(scales.shape(), Shape{6});
    ASSERT_EQ(inputs.shape(), Shape{6});
    for (std::int64_t e = 0; e < 6; ++e) {
      const ExportLinear& linear =
          *std::ranges::find(model.linears, "model.layers.1.block_sparse_moe.experts." + std::to_string(e) + "." + ours,
                             &ExportLinear::name);
      EXPECT_EQ(testing::bytes_of(blocks.data.slice(e, e + 1)), testing::bytes_of(pack_gguf_blocks(*linear.weight)));
      EXPECT_EQ(scales.data()[e], linear.weight->tensor_scale);
      EXPECT_EQ(inputs.data()[e], linear.input->tensor_scale);
    }
  }
  EXPECT_EQ(tensor_of(files, "blk.0.ffn_gate_inp.weight").dtype, "F32");
  EXPECT_EQ(tensor_of(files, "blk.0.ffn_gate_inp.weight").data.shape(), (Shape{6, 64}));
  const auto number_of = [&](const char* key) { return *find_metadata<std::uint32_t>(files.metadata, key); };
  EXPECT_EQ(*find_metadata<std::string>(files.metadata, "general.architecture"), "llama");
  EXPECT_EQ(number_of("llama.expert_count"), 6u);
  EXPECT_EQ(number_of("llama.expert_used_count"), 2u);
  EXPECT_EQ(number_of("llama.feed_forward_length"), 64u);
}

TEST(GgufExperts, LeftAsTheyAreTheyAreStackedToo) {
  QuantizeConfig attention = quantize_blocks("nvfp4", "nvfp4");
  attention.rules.push_back({"*mlp*", "none", "none"});
  TinyStudent student(testing::qwen3_moe_config(), attention);
  const ExportFiles files = exporter("gguf").pack(student.exported());
  EXPECT_EQ(*find_metadata<std::string>(files.metadata, "general.architecture"), "qwen3moe");
  EXPECT_EQ(*find_metadata<std::uint32_t>(files.metadata, "qwen3moe.expert_feed_forward_length"), 64u);
  EXPECT_EQ(tensor_of(files, "blk.0.ffn_up_exps.weight").dtype, "BF16");
  EXPECT_EQ(tensor_of(files, "blk.0.ffn_up_exps.weight").data.shape(), (Shape{6, 64, 64}));
}

std::string refusal(const ModelConfig& config, const QuantizeConfig& quantize) {
  TinyStudent student(config, quantize);
  return testing::error_of([&] { static_cast<void>(exporter("gguf").pack(student.exported())); });
}

TEST(GgufExperts, WhatLlamaCppCantBeToldIsRefused) {
  const QuantizeConfig nvfp4 = quantize_blocks("nvfp4", "nvfp4");
  ModelConfig config = testing::qwen3_moe_config();
  config.experts->norm_topk_prob = false;
  expect_mentions(refusal(config, nvfp4), {"config.json: norm_topk_prob: expected true, got false"});
  config = testing::qwen3_moe_config();
  config.experts->mlp_only_layers = {1};
  expect_mentions(refusal(config, nvfp4),
                  {"config.json: mlp_only_layers", "expected experts in every layer", "layer 1"});
  expect_mentions(refusal(testing::deepseek_v3_config(), nvfp4),
                  {"config.json: model_type: expected ",
                   ", got deepseek_v3 (llama.cpp leaves out NVFP4's tensor scales in this family, so that no file is "
                   "written for it; export"});
}

}  // namespace
}  // namespace qad
