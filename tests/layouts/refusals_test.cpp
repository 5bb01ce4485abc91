// What an export refuses, in whose name, and that nothing that was there is lost.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "qad/layouts/check_exportable.h"
#include "qad/layouts/export_refusals.h"
#include "qad/layouts/read_export.h"
#include "qad/layouts/registry.h"
#include "qad/layouts/write_export.h"
#include "tests/layouts/tiny_student.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::quantize_blocks;
using testing::small_config;
using testing::TemporaryFolder;
using testing::TinyStudent;

void expect_error(const std::function<void()>& action, const std::vector<std::string>& words) {
  try {
    action();
    ADD_FAILURE() << "nothing was refused: " << words.front();
  } catch (const Error& error) {
    for (const std::string& word : words)
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what() << "\nlacks " << word;
  }
}

TEST(Refusals, FormatsThatALayoutCannotCarryByPattern) {
  TinyStudent int8(small_config(), quantize_blocks("int8", "none"));
  for (const char* layout : {"modelopt", "gguf", "bitsandbytes"})
    expect_error([&] { static_cast<void>(exporter(layout).pack(int8.exported())); },
                 {"*.q_proj, *.k_proj, *.v_proj, *.o_proj, *.gate_proj, *.up_proj, *.down_proj (14 layers): expected ",
                  ", got int8 weights with plain inputs (",
                  std::string(layout) + " has no place for these; export as compressed_tensors or dense)"});
  expect_error([&] { static_cast<void>(exporter("modelopt").pack(int8.exported())); },
               {"expected nvfp4 weights with nvfp4 or plain inputs, fp8 weights with fp8 inputs, got"});
  TinyStudent fp8(small_config(), quantize_blocks("fp8", "none"));
  expect_error([&] { static_cast<void>(exporter("modelopt").pack(fp8.exported())); },
               {"got fp8 weights with plain inputs"});
  TinyStudent both(small_config(), quantize_blocks("int8", "int8"));
  expect_error([&] { static_cast<void>(exporter("compressed_tensors").pack(both.exported())); },
               {"got int8 weights with int8 inputs (compressed_tensors has no place for these; export as dense)"});
}

TEST(Refusals, AllAtOnceAndEachByItsLayers) {
  QuantizeConfig quantize = quantize_blocks("nvfp4", "nvfp4");
  quantize.rules.push_back({"*self_attn*", "int8", "none"});
  quantize.rules.push_back({"model.layers.1.mlp.down_proj", "mxfp4", "none"});
  quantize.rules.push_back({"model.layers.1.self_attn.o_proj", "none", "fp8"});
  ModelConfig config = small_config();
  config.intermediate_size = 96;
  const auto layers = linear_shapes(config);
  const auto lines = [&](const char* layout) {
    std::vector<std::string> told;
    for (const Refusal& refusal : export_refusals(exporter(layout), outline_of(config, layers, quantize)))
      told.push_back(Error(refusal.problem).what());
    return told;
  };
  const std::string hint = " (modelopt has no place for these; export as compressed_tensors or dense)";
  const std::string held = ": expected nvfp4 weights with nvfp4 or plain inputs, fp8 weights with fp8 inputs, got ";
  EXPECT_EQ(lines("modelopt"),
            (std::vector<std::string>{
                "modelopt: *.q_proj, *.k_proj, *.v_proj, model.layers.0.self_attn.o_proj (7 layers)" + held +
                    "int8 weights with plain inputs" + hint,
                "modelopt: model.layers.1.self_attn.o_proj: expected quantized weights behind a quantized input, got "
                "plain ones (exclude by a last rule {layers: \"model.layers.1.self_attn.o_proj\", weights: none, "
                "inputs: none})",
                "modelopt: model.layers.1.mlp.down_proj" + held +
                    "mxfp4 weights with plain inputs (modelopt has no place for these; export as compressed_tensors, "
                    "dense or gguf)"}));
  EXPECT_EQ(lines("dense").size(), 1u);
  // GGUF: those formats, and both widths.
  const std::vector<std::string> gguf = lines("gguf");
  ASSERT_EQ(gguf.size(), 4u);
  EXPECT_EQ(
      gguf[2].find("gguf: *.gate_proj, *.up_proj (4 layers): expected an inner dimension that is a multiple of 64"), 0u)
      << gguf[2];
  EXPECT_EQ(
      gguf[3].find("gguf: model.layers.0.mlp.down_proj: expected an inner dimension that is a multiple of 64, the "
                   "width of GGUF's blocks, got 96 (exclude by a last rule"),
      0u)
      << gguf[3];
}

TEST(Refusals, WeightsThatBf16DoesNotHoldBesideThoseThatReadersDecodeToIt) {
  QuantizeConfig quantize = quantize_blocks("nvfp4", "none");
  quantize.rules.push_back({"*self_attn*", "int8", "none"});
  TinyStudent student(small_config(), quantize);
  expect_error(
      [&] { static_cast<void>(exporter("compressed_tensors").pack(student.exported())); },
      {"compressed_tensors: *.q_proj, *.k_proj, *.v_proj, *.o_proj (8 layers): expected weights that BF16 holds, "
       "beside layers in nvfp4 or mxfp4, got int8 (compressed-tensors decodes those to BF16 alone;"});
}

TEST(Refusals, AQuantizedCacheInBitsandbytes) {
  ModelConfig config = small_config();
  config.hidden_size = config.intermediate_size = 64;
  QuantizeConfig quantize = quantize_blocks("nf4_g64", "none");
  quantize.kv_cache = "fp8";
  TinyStudent student(config, quantize);
  expect_error(
      [&] { static_cast<void>(exporter("bitsandbytes").pack(student.exported())); },
      {"bitsandbytes: keys and values: expected none that are quantized, got fp8 (bitsandbytes has no place for "
       "their scales; leave kv_cache at none, or export as dense)"});
}

// A layout that can't hold the layers is no advice for what stands beside them.
TEST(Refusals, OfACacheNameLayoutsThatHoldTheLayersToo) {
  ModelConfig config = small_config();
  QuantizeConfig quantize = quantize_blocks("fp8", "fp8");
  quantize.kv_cache = "fp8";
  std::string told;
  for (const Refusal& refusal :
       export_refusals(exporter("bitsandbytes"), outline_of(config, linear_shapes(config), quantize)))
    if (refusal.problem.who.ends_with("keys and values")) told = Error(refusal.problem).what();
  EXPECT_NE(told.find("or export as modelopt, compressed_tensors or dense)"), std::string::npos) << told;
}

// Each says what it can hold; only dense, which says nothing of the cache, takes any.
TEST(Refusals, CachesOfOtherFormatsThanALayoutCanSay) {
  ModelConfig config = small_config();
  config.hidden_size = config.intermediate_size = 64;
  QuantizeConfig quantize = quantize_blocks("nvfp4", "nvfp4");
  for (const char* format : {"nvfp4", "int8", "fp8_channel"}) {
    quantize.kv_cache = format;
    TinyStudent student(config, quantize);
    for (const char* layout : {"modelopt", "compressed_tensors", "gguf"})
      expect_error([&] { static_cast<void>(exporter(layout).pack(student.exported())); },
                   {std::string(layout) + ": keys and values: expected fp8 or none that are quantized, got " + format +
                    " (" + layout + " has no place for their scales; set kv_cache to fp8, or export as dense)"});
    const ExportModel back = exporter("dense").unpack(exporter("dense").pack(student.exported()));
    EXPECT_TRUE(back.key_value_scales.empty());
    EXPECT_EQ(back.cache_format, nullptr);
  }
  quantize.kv_cache = "fp8";
  TinyStudent student(config, quantize);
  for (const char* layout : {"modelopt", "compressed_tensors", "gguf"}) {
    const ExportModel back = exporter(layout).unpack(exporter(layout).pack(student.exported()));
    EXPECT_EQ(back.cache_format, &block_format("fp8")) << layout;
    EXPECT_EQ(back.key_value_scales.size(), 2u) << layout;
  }
}

TEST(Refusals, PlainStudentsInLayoutsOfCodes) {
  TinyStudent plain(small_config(), quantize_blocks("none", "none"));
  for (const Exporter& layout : exporters())
    if (layout.stores_codes)
      expect_error([&] { static_cast<void>(layout.pack(plain.exported())); },
                   {std::string(layout.name) + ": expected a quantized layer at least, got none (export as dense)"});
}

TEST(Refusals, ScalesThatCompressedTensorsWouldRound) {
  QuantizeConfig quantize = quantize_blocks("nvfp4", "nvfp4");
  quantize.tensor_scale.round = TensorScaleRound::none;
  TinyStudent student(small_config(), quantize);
  expect_error(
      [&] { static_cast<void>(exporter("compressed_tensors").pack(student.exported())); },
      {"compressed_tensors: *.q_proj, ", "(14 layers): expected a tensor scale that is a power of two", "round: pow2"});
}

TEST(Refusals, FusedLayersWithScalesOfTheirOwn) {
  QuantizeConfig quantize = quantize_blocks("nvfp4", "nvfp4");
  quantize.share_groups = false;
  TinyStudent student(small_config(), quantize);
  expect_error([&] { static_cast<void>(student.exported()); }, {"share_groups", "true"});

  TinyStudent shared(small_config(), quantize_blocks("nvfp4", "nvfp4"));
  ExportModel model = shared.exported();
  EXPECT_NO_THROW(check_exportable(model));
  model.linears[1].weight->tensor_scale *= 2;
  expect_error([&] { check_exportable(model); }, {"model.layers.0.self_attn.qkv_proj", "share_groups: true"});
  model.linears[1].weight->tensor_scale /= 2;
  model.linears[2].input->tensor_scale *= 2;
  expect_error([&] { check_exportable(model); }, {"model.layers.0.self_attn.qkv_proj", "one input scale"});
  model.linears[2].input.reset();
  expect_error([&] { check_exportable(model); }, {"model.layers.0.self_attn.qkv_proj", "quantized alike"});
}

TEST(Refusals, WeightsThatBf16DoesNotHold) {
  TinyStudent student(small_config(), quantize_blocks("nvfp4", "nvfp4"));
  ExportModel model = student.exported();
  const auto norm = std::ranges::find(model.dense, "model.norm.weight", &NamedTensor::name);
  norm->value = Tensor::full(norm->value.shape(), 1.0f);
  norm->value.data()[7] = -3.4e38f;
  expect_error([&] { check_exportable(model); }, {"model.norm.weight", "weights that BF16 holds", "-3.4", "index 7"});
  model.dense_type = DType::f32;
  EXPECT_NO_THROW(check_exportable(model));
}

TEST(Refusals, UnknownLayoutsWithTheKnownOnes) {
  expect_error([] { static_cast<void>(exporter("awq")); },
               {"modelopt, compressed_tensors, dense, gguf, bitsandbytes", "awq"});
  expect_error(
      [] {
        static_cast<void>(exporter_of({{}, {{"config.json", R"({"quantization_config": {"quant_method": "gptq"}})"}}}));
      },
      {"gptq", "modelopt, compressed-tensors or bitsandbytes"});
}

TEST(Refusals, AFolderWithOtherFilesIsLeftAlone) {
  const TemporaryFolder folder;
  TinyStudent student(small_config(), quantize_blocks("nvfp4", "nvfp4"));
  write_file_atomically(folder / "model/model.safetensors", "precious");
  expect_error([&] { write_export(folder / "model", exporter("dense"), student.exported(), {}); },
               {"new or empty folder", "other files"});
  EXPECT_EQ(read_file(folder / "model/model.safetensors", "a file"), "precious");
  write_file_atomically(folder / "file", "precious");
  expect_error([&] { write_export(folder / "file", exporter("dense"), student.exported(), {}); },
               {"new or empty folder", "got a file"});
}

TEST(Replacing, AnEarlierExportStaysUntilTheNewOneIsWhole) {
  const TemporaryFolder folder;
  const fs::path out = folder / "out";
  TinyStudent student(small_config(), quantize_blocks("nvfp4", "nvfp4"));
  const ExportModel model = student.exported();
  fs::create_directories(folder / ".out.partial/left by a killed export");
  write_file_atomically(folder / ".out.partial/.qad_partial", "process 4711 on elsewhere\n");
  write_export(out, exporter("modelopt"), model, {}, 4000);
  EXPECT_TRUE(fs::exists(out / "model.safetensors.index.json"));

  ExportModel bad = model;
  bad.linears[0].weight->tensor_scale *= 2;
  expect_error([&] { write_export(out, exporter("modelopt"), bad, {}); }, {"qkv_proj"});
  request_stop();
  expect_error([&] { write_export(out, exporter("dense"), model, {}); }, {"stopped"});
  request_stop(false);
  EXPECT_TRUE(is_packed_export(out));

  write_export(out.string() + "/", exporter("dense"), model, {});
  EXPECT_FALSE(is_packed_export(out));
  EXPECT_FALSE(fs::exists(out / "model.safetensors.index.json"));
  EXPECT_FALSE(fs::exists(out / "hf_quant_config.json"));
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder.path())) names.push_back(entry.path().filename());
  EXPECT_EQ(names, std::vector<std::string>{"out"});
}

TEST(Damage, TensorsWithoutAPlaceInTheModelAreNamed) {
  TinyStudent student(small_config(), quantize_blocks("nvfp4", "nvfp4"));
  ExportModel model = exporter("modelopt").unpack(exporter("modelopt").pack(student.exported()));
  const Tensor embeddings = student.model->parameters().front()->value();
  model.dense.push_back({"lm_head.weight", embeddings});  // a tied model may store both
  EXPECT_NO_THROW(static_cast<void>(make_exported_model(model)));
  model.dense.push_back({"model.layers.0.self_attn.q_proj.bias", Tensor::zeros({32})});
  expect_error([&] { static_cast<void>(make_exported_model(model)); },
               {"model.layers.0.self_attn.q_proj.bias", "no place"});
}

TEST(Damage, FilesThatDoNotFitTogetherAreNamed) {
  TinyStudent student(small_config(), quantize_blocks("nvfp4", "nvfp4"));
  const ExportModel model = student.exported();
  const std::string layer = "model.layers.0.mlp.up_proj";
  const auto damaged = [&](const char* layout, const std::string& tensor,
                           const std::function<void(FileTensor&)>& damage) {
    ExportFiles files = exporter(layout).pack(model);
    for (FileTensor& file : files.tensors) {
      if (file.name != tensor) continue;
      file.data = file.data.clone();
      damage(file);
    }
    static_cast<void>(exporter(layout).unpack(files));
  };
  expect_error([&] { damaged("modelopt", layer + ".weight_scale", [](auto& t) { t.data = t.data.slice(0, 1); }); },
               {layer + ".weight_scale", "shape [48, 2]", "[1, 2]"});
  expect_error([&] { damaged("modelopt", layer + ".weight_scale", [](auto& t) { t.name = "x"; }); },
               {layer + ".weight_scale", "F8_E4M3"});
  expect_error(
      [&] { damaged("modelopt", layer + ".weight_scale", [](auto& t) { t.data.raw()[5] = std::byte{0x7f}; }); },
      {layer + ".weight_scale", "NaN"});
  expect_error(
      [&] { damaged("compressed_tensors", layer + ".input_global_scale", [](auto& t) { t.data.fill(0.0f); }); },
      {layer + ".input_global_scale", "positive"});
}

}  // namespace
}  // namespace qad
