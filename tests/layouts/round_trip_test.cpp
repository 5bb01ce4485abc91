// Every layout holds every student that it takes: written, read back and run, with the bits of the student.
#include <gtest/gtest.h>

#include <cstring>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "data/files/safetensors.h"
#include "models/families/hf_config.h"
#include "qad/layouts/export_refusals.h"
#include "qad/layouts/read_export.h"
#include "qad/layouts/registry.h"
#include "qad/layouts/verify_export.h"
#include "qad/layouts/write_export.h"
#include "tests/layouts/expert_student.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using testing::quantize_blocks;
using testing::small_config;
using testing::TemporaryFolder;
using testing::TinyStudent;

// Rows of 64 and 128: every layout can hold them.
ModelConfig wide_tied_config(bool tied = true) {
  ModelConfig config = small_config(tied);
  config.hidden_size = 64;
  config.intermediate_size = 128;
  return config;
}

QuantizeConfig with_fp8_cache(QuantizeConfig config) {
  config.kv_cache = "fp8";
  return config;
}

QuantizeConfig mixed() {
  QuantizeConfig config = quantize_blocks("nvfp4", "nvfp4");
  config.rules.push_back({"*self_attn*", "nvfp4", "none"});
  config.rules.push_back({"model.layers.1.mlp.down_proj", "none", "none"});
  return config;
}

QuantizeConfig attention_only() {
  QuantizeConfig config = quantize_blocks("nvfp4", "nvfp4");
  config.rules.push_back({"*mlp*", "none", "none"});
  return config;
}

QuantizeConfig plain_experts() {
  QuantizeConfig config = quantize_blocks("nvfp4", "nvfp4");
  config.rules.push_back({"*.experts.*", "none", "none"});
  return config;
}

// With norms of queries and keys.
ModelConfig qwen3_config() {
  ModelConfig config = wide_tied_config(false);
  config.model_type = "qwen3";
  config.qk_norm = true;
  return config;
}

ModelConfig with_biases() {
  ModelConfig config = wide_tied_config();
  config.attention_bias = config.attention_output_bias = true;
  return config;
}

ModelConfig qwen2_config() {
  ModelConfig config = wide_tied_config();
  config.model_type = "qwen2";
  config.attention_bias = true;
  return config;
}

QuantizeConfig with_scales(BlockScales scales, QuantizeConfig config) {
  config.scales = scales;
  return config;
}

struct Case {
  const char* name;
  QuantizeConfig quantize;
  ModelConfig model;
  std::uint64_t shard_bytes = kDefaultShardBytes;
};

std::vector<Case> cases() {
  return {{"W4A4", quantize_blocks("nvfp4", "nvfp4"), wide_tied_config()},
          {"W4A4, own head, shards", quantize_blocks("nvfp4", "nvfp4"), wide_tied_config(false), 2000},
          {"W4A16, shards", quantize_blocks("nvfp4", "none"), wide_tied_config(), 4000},
          {"W4A4, FP8 cache", with_fp8_cache(quantize_blocks("nvfp4", "nvfp4")), wide_tied_config()},
          {"mixed", mixed(), wide_tied_config(false)},
          {"learned scales", with_scales(BlockScales::lsq, mixed()), wide_tied_config()},
          {"learned scales beside those of codes", with_scales(BlockScales::dual_lsq, mixed()), wide_tied_config()},
          {"scales that stay", with_scales(BlockScales::found, mixed()), wide_tied_config()},
          {"biases", mixed(), with_biases()},
          {"biases of q, k and v", attention_only(), qwen2_config()},
          {"norms of queries and keys", mixed(), qwen3_config()},
          {"experts", with_fp8_cache(quantize_blocks("nvfp4", "nvfp4")), testing::qwen3_moe_config(), 4000},
          {"experts, W4A16", quantize_blocks("nvfp4", "none"), testing::mixtral_config()},
          {"plain experts", plain_experts(), testing::mixtral_config()}};
}

// The layouts that have a place for every layer.
std::vector<const Exporter*> layouts_for(const ExportModel& model) {
  std::vector<const Exporter*> layouts;
  for (const Exporter& exporter : exporters())
    if (export_refusals(exporter, outline_of(model, parse_hf_config(model.config_json, ""))).empty())
      layouts.push_back(&exporter);
  return layouts;
}

void expect_round_trip(const Case& test, const Exporter& exporter) {
  SCOPED_TRACE(std::string(test.name) + " as " + std::string(exporter.name));
  const TemporaryFolder folder;
  TinyStudent student(test.model, test.quantize);
  const ExportModel model = student.exported();
  write_export(folder / "out", exporter, model, {}, test.shard_bytes);

  if (exporter.name == "gguf") {
    EXPECT_TRUE(std::filesystem::exists(folder / "out/model.gguf"));
    EXPECT_FALSE(std::filesystem::exists(folder / "out/model.safetensors"));
  } else {
    EXPECT_EQ(std::filesystem::exists(folder / "out/model.safetensors"), test.shard_bytes == kDefaultShardBytes);
    EXPECT_EQ(SafetensorsFolder(folder / "out").has("lm_head.weight"), !test.model.tie_word_embeddings);
  }
  EXPECT_EQ(is_packed_export(folder / "out"), exporter.stores_codes);
  const ExportModel back = read_export(folder / "out");
  EXPECT_EQ(back.key_value_scales.size(), exporter.stores_codes ? model.key_value_scales.size() : 0u);
  if (exporter.stores_codes) {
    EXPECT_EQ(testing::logits_of(*make_exported_model(back)), testing::logits_of(*student.model));
  }
}

TEST(RoundTrip, EndTokensOfGenerationConfigEndTextsToo) {
  const TemporaryFolder folder;
  ModelConfig config = small_config();
  config.eos_token_id = {2};
  TinyStudent student(config, quantize_blocks("nvfp4", "nvfp4"));
  write_export(folder / "out", exporters().front(), student.exported(), {});
  write_file_atomically(folder / "out/generation_config.json", R"({"eos_token_id": [2, 5]})");
  const auto model = make_exported_model(read_export(folder / "out"));
  EXPECT_EQ(model->config().eos_token_id, (std::vector<std::int64_t>{2, 5}));
}

TEST(RoundTrip, EveryLayoutGivesTheStudentBack) {
  for (const Case& test : cases()) {
    const auto layouts = layouts_for(TinyStudent(test.model, test.quantize).exported());
    EXPECT_EQ(layouts.size(), 4u) << test.name;  // all but bitsandbytes
    for (const Exporter* exporter : layouts) expect_round_trip(test, *exporter);
  }
}

// Rows of 128, as groups of that many need them.
ModelConfig wider_config(bool tied = true) {
  ModelConfig config = wide_tied_config(tied);
  config.hidden_size = 128;
  return config;
}

QuantizeConfig three_kinds_of_integers() {
  QuantizeConfig config = quantize_blocks("int4_g128", "none");
  config.rules.push_back({"*self_attn*", "int8", "none"});
  config.rules.push_back({"*down_proj", "fp8_channel", "fp8_channel"});
  config.rules.push_back({"*o_proj", "fp8", "none"});
  config.rules.push_back({"model.layers.1.mlp.down_proj", "none", "none"});
  return config;
}

// Rows that do not fill their last word of 32 bits.
ModelConfig odd_config() {
  ModelConfig config = small_config(false);
  config.hidden_size = 36;
  config.intermediate_size = 50;
  config.num_attention_heads = 6;
  config.num_key_value_heads = 3;
  return config;
}

TEST(RoundTrip, IntegersAndRowsOfFp8InCompressedTensors) {
  for (const Case& test : {Case{"INT4", quantize_blocks("int4_g128", "none"), wider_config()},
                           Case{"INT4, shards", quantize_blocks("int4_g128", "none"), wider_config(false), 4000},
                           Case{"INT8", quantize_blocks("int8", "none"), odd_config()},
                           Case{"INT8, FP8 cache", with_fp8_cache(quantize_blocks("int8", "none")), wide_tied_config()},
                           Case{"FP8 of rows", quantize_blocks("fp8_channel", "fp8_channel"), odd_config()},
                           Case{"FP8 of rows, weights alone", quantize_blocks("fp8_channel", "none"), odd_config()},
                           Case{"FP8, weights alone", quantize_blocks("fp8", "none"), odd_config()},
                           Case{"three kinds", three_kinds_of_integers(), wider_config()},
                           Case{"three kinds, learned scales",
                                with_scales(BlockScales::dual_lsq, three_kinds_of_integers()), wider_config()}}) {
    const auto layouts = layouts_for(TinyStudent(test.model, test.quantize).exported());
    ASSERT_EQ(layouts.size(), 2u) << test.name;  // the other is dense
    expect_round_trip(test, exporter("compressed_tensors"));
    expect_round_trip(test, exporter("dense"));
  }
}

TEST(RoundTrip, Nf4InBitsandbytes) {
  QuantizeConfig some = quantize_blocks("nf4_g64", "none");
  some.rules.push_back({"*self_attn*", "none", "none"});
  some.rules.push_back({"model.layers.1.mlp.down_proj", "none", "none"});
  for (const Case& test :
       {Case{"NF4", quantize_blocks("nf4_g64", "none"), wide_tied_config()},
        Case{"NF4 of some, shards", some, wide_tied_config(false), 4000},
        Case{"NF4, learned scales", with_scales(BlockScales::dual_lsq, quantize_blocks("nf4_g64", "none")),
             wide_tied_config()},
        Case{"NF4, biases", quantize_blocks("nf4_g64", "none"), with_biases()}})
    expect_round_trip(test, exporter("bitsandbytes"));
}

TEST(RoundTrip, DenseTwinOfPlainInputsRunsAsTheStudent) {
  for (const ModelConfig& config : {small_config(), qwen3_config()}) {
    const TemporaryFolder folder;
    TinyStudent student(config, quantize_blocks("nvfp4", "none"));
    write_export(folder / "out", exporter("dense"), student.exported(), {});
    EXPECT_EQ(testing::logits_of(*load_model(folder / "out", WeightType::bf16)), testing::logits_of(*student.model));
  }
}

TEST(RoundTrip, MastersThatTheForwardReadsInFp32AreRoundedInTheFiles) {
  const TemporaryFolder folder;
  QuantizeConfig quantize = quantize_blocks("nvfp4", "nvfp4");
  quantize.unquantized = UnquantizedType::fp32;
  TinyStudent student(small_config(), quantize);
  write_export(folder / "out", exporter("modelopt"), student.exported(), {});
  const auto exported = make_exported_model(read_export(folder / "out"));
  EXPECT_NE(testing::logits_of(*exported), testing::logits_of(*student.model));
}

TEST(RoundTrip, Mxfp4AsGguf) {
  const QuantizeConfig mxfp4 = quantize_blocks("mxfp4", "none");
  expect_round_trip({"MXFP4", mxfp4, wide_tied_config()}, exporter("gguf"));
  expect_round_trip({"MXFP4, learned scales", with_scales(BlockScales::dual_lsq, mxfp4), wide_tied_config()},
                    exporter("gguf"));
}

TEST(RoundTrip, Mxfp4AndMixturesInCompressedTensors) {
  QuantizeConfig attention_in_fp8 = quantize_blocks("nvfp4", "nvfp4");
  attention_in_fp8.rules.push_back({"*self_attn*", "fp8", "fp8"});
  attention_in_fp8.rules.push_back({"*down_proj", "mxfp4", "mxfp4"});
  attention_in_fp8.rules.push_back({"*o_proj", "mxfp4", "none"});
  for (const Case& test : {Case{"MXFP4 W4A4", quantize_blocks("mxfp4", "mxfp4"), wide_tied_config()},
                           Case{"MXFP4 W4A16", quantize_blocks("mxfp4", "none"), wide_tied_config(false)},
                           Case{"three formats", attention_in_fp8, wide_tied_config()}})
    expect_round_trip(test, exporter("compressed_tensors"));
}

TEST(RoundTrip, Fp8AsModelopt) {
  expect_round_trip({"W8A8", with_fp8_cache(quantize_blocks("fp8", "fp8")), small_config()}, exporter("modelopt"));
  expect_round_trip({"W8A8", with_fp8_cache(quantize_blocks("fp8", "fp8")), small_config()},
                    exporter("compressed_tensors"));
}

TEST(RoundTrip, LatentAttentionSharedExpertsAndFp8Beside) {
  for (const Case& test :
       {Case{"DeepSeek", quantize_blocks("nvfp4", "nvfp4"), testing::deepseek_v3_config()},
        Case{"DeepSeek, FP8 beside", testing::experts_in_nvfp4_rest_in_fp8(), testing::deepseek_v3_config()},
        Case{"FP8 beside", testing::experts_in_nvfp4_rest_in_fp8(), testing::qwen3_moe_config()}})
    for (const char* layout : {"modelopt", "compressed_tensors", "dense"}) expect_round_trip(test, exporter(layout));
}

void expect_inverse(const ModelConfig& config, const QuantizeConfig& quantize) {
  TinyStudent student(config, quantize);
  const ExportModel model = student.exported();
  for (const Exporter* layout : layouts_for(model)) {
    const Exporter& exporter = *layout;
    const ExportFiles files = exporter.pack(model);
    ExportModel again = exporter.unpack(files);
    if (!exporter.stores_codes) continue;
    const ExportFiles same = exporter.pack(again);
    EXPECT_EQ(same.texts, files.texts);
    std::map<std::string, const FileTensor*> by_name;
    for (const FileTensor& tensor : same.tensors) by_name[tensor.name] = &tensor;
    ASSERT_EQ(same.tensors.size(), files.tensors.size());
    for (const FileTensor& tensor : files.tensors) {
      ASSERT_TRUE(by_name.contains(tensor.name)) << tensor.name;
      const Tensor& other = by_name[tensor.name]->data;
      ASSERT_EQ(other.bytes(), tensor.data.bytes()) << tensor.name;
      EXPECT_EQ(std::memcmp(other.raw(), tensor.data.raw(), other.bytes()), 0) << tensor.name;
    }
  }
}

TEST(RoundTrip, PackAndUnpackAreInverse) {
  expect_inverse(wide_tied_config(), mixed());
  expect_inverse(wider_config(), three_kinds_of_integers());
  expect_inverse(odd_config(), quantize_blocks("int8", "none"));
  expect_inverse(wide_tied_config(), quantize_blocks("nf4_g64", "none"));
  expect_inverse(testing::qwen3_moe_config(), quantize_blocks("nvfp4", "nvfp4"));
  expect_inverse(testing::mixtral_config(), testing::experts_in_nvfp4_rest_in_fp8());
}

TEST(RoundTrip, DenseTwinIsBf16WherePowersOfTwoAllowItElseFp32) {
  for (const TensorScaleRound round : {TensorScaleRound::pow2, TensorScaleRound::none}) {
    QuantizeConfig quantize = quantize_blocks("nvfp4", "nvfp4");
    quantize.tensor_scale.round = round;
    TinyStudent student(small_config(), quantize);
    const ExportFiles files = exporter("dense").pack(student.exported());
    const bool exact = round == TensorScaleRound::pow2;
    EXPECT_NE(files.texts.at("config.json").find(exact ? "\"bfloat16\"" : "\"float32\""), std::string::npos);
    for (const FileTensor& tensor : files.tensors)
      EXPECT_EQ(tensor.dtype, exact || !tensor.name.ends_with("_proj.weight") ? "BF16" : "F32") << tensor.name;
  }
}

TEST(RoundTrip, TensorScalesThatAreNoPowersOfTwoSurviveInModeloptAndGguf) {
  QuantizeConfig quantize = quantize_blocks("nvfp4", "nvfp4");
  quantize.tensor_scale.round = TensorScaleRound::none;
  expect_round_trip({"round: none", with_fp8_cache(quantize), wide_tied_config()}, exporter("modelopt"));
  expect_round_trip({"round: none", with_fp8_cache(quantize), wide_tied_config()}, exporter("gguf"));
}

TEST(Verify, NamesTheTensorAndIndexThatDiffer) {
  TinyStudent student(small_config(), quantize_blocks("nvfp4", "nvfp4"));
  const ExportModel model = student.exported();
  const auto message = [&](const Exporter& exporter, const std::string& tensor, std::size_t byte) {
    ExportFiles files = exporter.pack(model);
    for (FileTensor& file : files.tensors) {
      if (file.name != tensor) continue;
      file.data = file.data.clone();
      file.data.raw()[byte] ^= std::byte{0x10};
    }
    try {
      verify_export(files, exporter, model);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  const std::string up = "model.layers.1.mlp.up_proj";
  EXPECT_NE(message(exporter("modelopt"), up + ".weight", 16).find(up + ".weight[33]"), std::string::npos);
  EXPECT_NE(message(exporter("compressed_tensors"), up + ".weight_scale", 2).find(up + ".weight[32]"),
            std::string::npos);
  EXPECT_NE(message(exporter("dense"), "model.norm.weight", 6).find("model.norm.weight[3]"), std::string::npos);
  EXPECT_NE(message(exporter("modelopt"), up + ".input_scale", 2).find(up + " (input scale)"), std::string::npos);
}

}  // namespace
}  // namespace qad
