// Experts in the packed layouts: their published names, what they share, what must be named as not quantized, and what
// is looked for before anything is written.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "autograd/base/error.h"
#include "qad/layouts/check_exportable.h"
#include "qad/layouts/export_refusals.h"
#include "qad/layouts/registry.h"
#include "qad/layouts/verify_export.h"
#include "tests/layouts/expert_student.h"
#include "tests/support/error_of.h"

namespace qad {
namespace {

using Json = nlohmann::json;
using testing::error_of;
using testing::expect_mentions;
using testing::quantize_blocks;
using testing::tensor_of;
using testing::TinyStudent;

float number(const ExportFiles& files, const std::string& name) {
  return as_f32(tensor_of(files, name).data).data()[0];
}

std::vector<std::string> listing(const ExportFiles& files, const std::string& start) {
  std::vector<std::string> lines;
  for (const FileTensor& tensor : files.tensors)
    if (tensor.name.starts_with(start))
      lines.push_back(tensor.name.substr(start.size()) + " " + tensor.dtype + " " + tensor.data.shape().text());
  std::ranges::sort(lines);
  return lines;
}

ExportLinear& linear_of(ExportModel& model, const std::string& name) {
  return *std::ranges::find(model.linears, name, &ExportLinear::name);
}

std::set<std::string> names(const Json& list) { return list.get<std::set<std::string>>(); }

TEST(PackedExperts, NamesAndSharedScalesOfModelopt) {
  TinyStudent student(testing::qwen3_moe_config(), quantize_blocks("nvfp4", "nvfp4"));
  const ExportFiles files = exporter("modelopt").pack(student.exported());
  EXPECT_EQ(
      listing(files, "model.layers.1.mlp.experts.5."),
      (std::vector<std::string>{
          "down_proj.input_scale F32 []", "down_proj.weight U8 [64, 32]", "down_proj.weight_scale F8_E4M3 [64, 4]",
          "down_proj.weight_scale_2 F32 []", "gate_proj.input_scale F32 []", "gate_proj.weight U8 [64, 32]",
          "gate_proj.weight_scale F8_E4M3 [64, 4]", "gate_proj.weight_scale_2 F32 []", "up_proj.input_scale F32 []",
          "up_proj.weight U8 [64, 32]", "up_proj.weight_scale F8_E4M3 [64, 4]", "up_proj.weight_scale_2 F32 []"}));
  EXPECT_EQ(listing(files, "model.layers.0.mlp.gate"), std::vector<std::string>{".weight BF16 [6, 64]"});
  for (const std::string layer : {"model.layers.0.mlp.experts.", "model.layers.1.mlp.experts."})
    for (const std::string expert : {"0.", "1.", "2.", "3.", "4.", "5."}) {
      EXPECT_EQ(number(files, layer + expert + "gate_proj.weight_scale_2"),
                number(files, layer + expert + "up_proj.weight_scale_2"));
      for (const char* name : {"gate_proj.input_scale", "up_proj.input_scale"})
        EXPECT_EQ(number(files, layer + expert + name), number(files, layer + "0.gate_proj.input_scale"));
      EXPECT_EQ(number(files, layer + expert + "down_proj.input_scale"),
                number(files, layer + "0.down_proj.input_scale"));
    }
  const Json quantization = Json::parse(files.texts.at("hf_quant_config.json"))["quantization"];
  const std::set<std::string> kept = {"lm_head", "model.layers.0.mlp.gate", "model.layers.1.mlp.gate"};
  EXPECT_EQ(quantization["quant_algo"], "NVFP4");
  EXPECT_EQ(names(quantization["exclude_modules"]), kept);
  EXPECT_EQ(names(Json::parse(files.texts.at("config.json"))["quantization_config"]["ignore"]), kept);
}

TEST(PackedExperts, NamesOfCompressedTensorsAndOfMixtral) {
  TinyStudent student(testing::mixtral_config(), quantize_blocks("nvfp4", "nvfp4"));
  const ExportFiles files = exporter("compressed_tensors").pack(student.exported());
  const std::string moe = "model.layers.0.block_sparse_moe.";
  EXPECT_EQ(listing(files, moe + "experts.3.w1"),
            (std::vector<std::string>{".input_global_scale F32 [1]", ".weight_global_scale F32 [1]",
                                      ".weight_packed U8 [64, 32]", ".weight_scale F8_E4M3 [64, 4]"}));
  EXPECT_EQ(listing(files, moe + "experts.").size(), 6u * 3 * 4);
  EXPECT_EQ(number(files, moe + "experts.3.w1.weight_global_scale"),
            number(files, moe + "experts.3.w3.weight_global_scale"));
  const Json config = Json::parse(files.texts.at("config.json"))["quantization_config"];
  EXPECT_EQ(names(config["ignore"]), (std::set<std::string>{"lm_head", "model.layers.0.block_sparse_moe.gate",
                                                            "model.layers.1.block_sparse_moe.gate"}));
  EXPECT_EQ(config["config_groups"]["group_0"]["targets"], Json::array({"Linear"}));
}

// Its shared expert reads what the others read; its first layer is dense.
TEST(PackedExperts, SharedExpertsOfDeepseek) {
  TinyStudent student(testing::deepseek_v3_config(), quantize_blocks("nvfp4", "nvfp4"));
  const ExportFiles files = exporter("modelopt").pack(student.exported());
  const std::string mlp = "model.layers.1.mlp.";
  EXPECT_EQ(number(files, mlp + "shared_experts.gate_proj.weight_scale_2"),
            number(files, mlp + "shared_experts.up_proj.weight_scale_2"));
  EXPECT_EQ(number(files, mlp + "shared_experts.gate_proj.input_scale"),
            number(files, mlp + "experts.7.up_proj.input_scale"));
  EXPECT_EQ(tensor_of(files, mlp + "gate.e_score_correction_bias").dtype, "F32");
  EXPECT_EQ(names(Json::parse(files.texts.at("hf_quant_config.json"))["quantization"]["exclude_modules"]),
            (std::set<std::string>{"lm_head", "model.layers.1.mlp.gate"}));
}

TEST(PackedExperts, BesideFp8EachLayerIsNamed) {
  TinyStudent student(testing::qwen3_moe_config(), testing::experts_in_nvfp4_rest_in_fp8());
  const ExportModel model = student.exported();
  const Json modelopt = Json::parse(exporter("modelopt").pack(model).texts.at("hf_quant_config.json"))["quantization"];
  EXPECT_EQ(modelopt["quant_algo"], "MIXED_PRECISION");
  EXPECT_EQ(modelopt["quantized_layers"].size(), 2u * (4 + 6 * 3));
  EXPECT_EQ(modelopt["quantized_layers"]["model.layers.1.mlp.experts.5.up_proj"],
            Json::parse(R"({"quant_algo": "NVFP4", "group_size": 16})"));
  EXPECT_EQ(modelopt["quantized_layers"]["model.layers.1.self_attn.o_proj"], Json::parse(R"({"quant_algo": "FP8"})"));
  EXPECT_EQ(modelopt["exclude_modules"].size(), 3u);

  const ExportFiles files = exporter("compressed_tensors").pack(model);
  const Json config = Json::parse(files.texts.at("config.json"))["quantization_config"];
  EXPECT_EQ(config["format"], "mixed-precision");
  std::map<std::string, std::set<std::string>> targets;
  for (const Json& group : config["config_groups"]) targets[group["format"]] = names(group["targets"]);
  EXPECT_EQ(targets["nvfp4-pack-quantized"].size(), 2u * 6 * 3);
  EXPECT_TRUE(targets["nvfp4-pack-quantized"].contains("model.layers.0.mlp.experts.2.down_proj"));
  EXPECT_EQ(targets["float-quantized"].size(), 2u * 4);
  EXPECT_TRUE(targets["float-quantized"].contains("model.layers.0.self_attn.q_proj"));
  EXPECT_EQ(config["ignore"].size(), 3u);
  EXPECT_EQ(listing(files, "model.layers.0.self_attn.q_proj"),
            (std::vector<std::string>{".input_scale BF16 [1]", ".weight F8_E4M3 [64, 64]", ".weight_scale BF16 [1]"}));
}

TEST(PackedExperts, AFileThatDoesNotNameARouterIsFound) {
  TinyStudent student(testing::qwen3_moe_config(), quantize_blocks("nvfp4", "nvfp4"));
  const ExportModel model = student.exported();
  ExportFiles files = exporter("modelopt").pack(model);
  EXPECT_NO_THROW(verify_export(files, exporter("modelopt"), model));
  std::string& text = files.texts.at("hf_quant_config.json");
  const std::string router = "model.layers.1.mlp.gate";
  text.replace(text.find(router), router.size(), "model.layers.1.mlp.gone");
  expect_mentions(error_of([&] { verify_export(files, exporter("modelopt"), model); }),
                  {"model.layers.1.mlp.gate: expected to be named as not quantized"});
}

TEST(PackedExperts, WhatWouldTalkNonsenseIsFoundBeforeItIsWritten) {
  TinyStudent student(testing::qwen3_moe_config(), quantize_blocks("nvfp4", "nvfp4"));
  const ExportModel good = student.exported();
  EXPECT_NO_THROW(check_exportable(good));
  const std::string expert = "model.layers.0.mlp.experts.2.";
  const auto error = [&](const std::function<void(ExportModel&)>& spoil) {
    ExportModel model = good;
    spoil(model);
    return error_of([&] { check_exportable(model); });
  };
  expect_mentions(error([&](ExportModel& model) { linear_of(model, expert + "up_proj").weight->tensor_scale *= 2; }),
                  {"model.layers.0.mlp.experts.2.gate_up_proj: expected one weight scale", "share_groups"});
  // Gate and up of an expert alike, yet not as those of the other experts.
  expect_mentions(error([&](ExportModel& model) {
                    for (const char* name : {"gate_proj", "up_proj"})
                      linear_of(model, expert + name).input->tensor_scale *= 2;
                  }),
                  {"model.layers.0.mlp.experts.gate_up_proj: expected one input scale for all its layers",
                   "experts.0.gate_proj and model.layers.0.mlp.experts.2.gate_proj"});
  for (const float scale :
       {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    expect_mentions(
        error([&](ExportModel& model) { linear_of(model, expert + "down_proj").weight->tensor_scale = scale; }),
        {"experts.2.down_proj (weight): expected a positive, finite scale"});
    expect_mentions(
        error([&](ExportModel& model) { linear_of(model, expert + "down_proj").input->tensor_scale = scale; }),
        {"experts.2.down_proj (input): expected a positive, finite scale"});
  }
  const auto with_block_scale = [&](std::uint8_t byte) {
    return error([&](ExportModel& model) {
      Tensor& scales = linear_of(model, expert + "down_proj").weight->scales;
      scales = scales.clone();
      scales.span<std::uint8_t>()[3] = byte;
    });
  };
  expect_mentions(with_block_scale(0), {"experts.2.down_proj (block scales): expected positive ones, got a zero"});
  expect_mentions(with_block_scale(0x7f), {"experts.2.down_proj (block scales)", "NaN"});
  expect_mentions(error([&](ExportModel& model) { linear_of(model, expert + "down_proj").role = Role::router; }),
                  {"experts.2.down_proj: expected codes of linear layers alone", "router"});
  expect_mentions(error([&](ExportModel& model) { linear_of(model, expert + "down_proj").weight.reset(); }),
                  {"experts.2.down_proj: expected quantized weights behind a quantized input"});
  expect_mentions(error([&](ExportModel& model) {
                    model.linears.push_back({"model.layers.0.mlp.gates", "", {}, {}});
                  }),
                  {"model.layers.0.mlp.gates: expected a matrix of the model"});
}

TEST(PackedExperts, AnInputThatWasZeroHasNoScale) {
  TinyStudent student(testing::qwen3_moe_config(), quantize_blocks("nvfp4", "nvfp4"));
  student.quantizers.observe();
  TokenBatch batch = testing::small_batch();
  for (const ParameterPointer& parameter : student.model->parameters())
    if (parameter->name.ends_with("self_attn.v_proj.weight")) {
      parameter->value().fill(0.0f);
      parameter->changed();
    }
  calibrate(*student.model, student.quantizers, {batch}, {TensorScaleSource::calibration});
  expect_mentions(error_of([&] { static_cast<void>(student.exported()); }),
                  {"model.layers.0.self_attn.o_proj.input: expected a scale that calibration found", "zeros"});
}

TEST(PackedExperts, BitsandbytesHasNoPlaceForThem) {
  const ModelConfig config = testing::qwen3_moe_config();
  const auto outline = outline_of(config, linear_shapes(config), quantize_blocks("nf4_g64", "none"));
  const std::vector<Refusal> refusals = export_refusals(exporter("bitsandbytes"), outline);
  ASSERT_EQ(refusals.size(), 1u);
  expect_mentions(Error(refusals[0].problem).what(), {"bitsandbytes: expected a model without experts, got qwen3_moe"});
  for (const char* layout : {"modelopt", "compressed_tensors", "gguf"})
    EXPECT_TRUE(
        export_refusals(exporter(layout), outline_of(config, linear_shapes(config), quantize_blocks("nvfp4", "nvfp4")))
            .empty());
}

}  // namespace
}  // namespace qad
