// Names, dtypes and shapes of a two-layer Llama in both packed layouts, and what their configs say: the interface that
// serving engines read, written out by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "models/families/hf_config.h"
#include "qad/layouts/registry.h"
#include "tests/layouts/tiny_student.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using Json = nlohmann::json;
using testing::quantize_blocks;
using testing::small_config;
using testing::TinyStudent;

QuantizeConfig w4a4_fp8_cache() {
  QuantizeConfig config = quantize_blocks("nvfp4", "nvfp4");
  config.kv_cache = "fp8";
  return config;
}

std::vector<std::string> sorted_listing(const ExportFiles& files) {
  std::vector<std::string> lines;
  for (const FileTensor& tensor : files.tensors)
    lines.push_back(tensor.name + " " + tensor.dtype + " " + tensor.data.shape().text());
  std::ranges::sort(lines);
  return lines;
}

struct Projection {
  const char* name;
  int out, in;
};
const std::vector<Projection> kProjections = {{"self_attn.q_proj", 32, 32}, {"self_attn.k_proj", 16, 32},
                                              {"self_attn.v_proj", 16, 32}, {"self_attn.o_proj", 32, 32},
                                              {"mlp.gate_proj", 48, 32},    {"mlp.up_proj", 48, 32},
                                              {"mlp.down_proj", 32, 48}};

std::string matrix(int rows, int cols) { return "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]"; }

// `layer(prefix)` gives the lines of what an attention layer adds, `linear(name, out, in)` those of a quantized
// linear.
template <class Linear, class Attention>
std::vector<std::string> expected_listing(Linear linear, Attention attention) {
  std::vector<std::string> lines = {"model.embed_tokens.weight BF16 [64, 32]", "model.norm.weight BF16 [32]"};
  const auto append = [&](const std::vector<std::string>& more) {
    lines.insert(lines.end(), more.begin(), more.end());
  };
  for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
    append({layer + "input_layernorm.weight BF16 [32]", layer + "post_attention_layernorm.weight BF16 [32]"});
    for (const auto& [name, out, in] : kProjections) append(linear(layer + name, out, in));
    append(attention(layer + "self_attn."));
  }
  std::ranges::sort(lines);
  return lines;
}

TEST(LayoutNames, Modelopt) {
  TinyStudent student(small_config(), w4a4_fp8_cache());
  const ExportFiles files = exporter("modelopt").pack(student.exported());
  const auto expected = expected_listing(
      [](const std::string& name, int out, int in) -> std::vector<std::string> {
        return {name + ".weight U8 " + matrix(out, in / 2), name + ".weight_scale F8_E4M3 " + matrix(out, in / 16),
                name + ".weight_scale_2 F32 []", name + ".input_scale F32 []"};
      },
      [](const std::string& self) -> std::vector<std::string> {
        return {self + "k_proj.k_scale F32 []", self + "v_proj.v_scale F32 []"};
      });
  EXPECT_EQ(sorted_listing(files), expected);

  EXPECT_EQ(Json::parse(files.texts.at("hf_quant_config.json")), Json::parse(R"({
    "producer": {"name": "modelopt", "version": "0.47.0"},
    "quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "group_size": 16,
                     "exclude_modules": ["lm_head"]}})"));
  const Json config = Json::parse(files.texts.at("config.json"));
  EXPECT_EQ(config["torch_dtype"], "bfloat16");
  EXPECT_EQ(config["quantization_config"], Json::parse(R"({
    "quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"],
    "config_groups": {"group_0": {
      "weights": {"dynamic": false, "num_bits": 4, "type": "float", "group_size": 16},
      "input_activations": {"dynamic": false, "num_bits": 4, "type": "float", "group_size": 16},
      "targets": ["Linear"]}},
    "kv_cache_scheme": {"dynamic": false, "num_bits": 8, "type": "float"},
    "producer": {"name": "modelopt", "version": "0.47.0"}})"));
}

TEST(LayoutNames, ModeloptWeightOnlyAndMixed) {
  TinyStudent weight_only(small_config(), quantize_blocks("nvfp4", "none"));
  const ExportFiles files = exporter("modelopt").pack(weight_only.exported());
  const Json quantization = Json::parse(files.texts.at("hf_quant_config.json"))["quantization"];
  EXPECT_EQ(quantization["quant_algo"], "W4A16_NVFP4");
  EXPECT_TRUE(quantization["kv_cache_quant_algo"].is_null());
  EXPECT_TRUE(std::ranges::none_of(files.tensors, [](const auto& t) { return t.name.ends_with("input_scale"); }));

  QuantizeConfig rules = quantize_blocks("nvfp4", "nvfp4");
  rules.rules.push_back({"*mlp*", "nvfp4", "none"});
  rules.rules.push_back({"*down_proj", "fp8", "fp8"});
  rules.rules.push_back({"*.1.self_attn.*", "none", "none"});
  TinyStudent mixed(small_config(), rules);
  const Json of_mixed =
      Json::parse(exporter("modelopt").pack(mixed.exported()).texts.at("hf_quant_config.json"))["quantization"];
  EXPECT_EQ(of_mixed["quant_algo"], "MIXED_PRECISION");
  const Json& layers = of_mixed["quantized_layers"];
  EXPECT_EQ(layers.size(), 4u + 6u);
  EXPECT_EQ(layers["model.layers.0.self_attn.q_proj"], Json::parse(R"({"quant_algo": "NVFP4", "group_size": 16})"));
  EXPECT_EQ(layers["model.layers.1.mlp.up_proj"], Json::parse(R"({"quant_algo": "W4A16_NVFP4", "group_size": 16})"));
  EXPECT_EQ(layers["model.layers.1.mlp.down_proj"], Json::parse(R"({"quant_algo": "FP8"})"));
  EXPECT_EQ(of_mixed["exclude_modules"].size(), 5u);
}

TEST(LayoutNames, CompressedTensors) {
  TinyStudent student(small_config(), w4a4_fp8_cache());
  ExportModel model = student.exported();
  for (KeyValueScale& scale : model.key_value_scales) scale.key = scale.value = 0.0625f;
  const ExportFiles files = exporter("compressed_tensors").pack(model);
  const auto expected = expected_listing(
      [](const std::string& name, int out, int in) -> std::vector<std::string> {
        return {name + ".weight_packed U8 " + matrix(out, in / 2),
                name + ".weight_scale F8_E4M3 " + matrix(out, in / 16), name + ".weight_global_scale F32 [1]",
                name + ".input_global_scale F32 [1]"};
      },
      [](const std::string& self) -> std::vector<std::string> {
        return {self + "k_scale BF16 [1]", self + "v_scale BF16 [1]"};
      });
  EXPECT_EQ(sorted_listing(files), expected);

  const Json config = Json::parse(files.texts.at("config.json"));
  EXPECT_EQ(config["quantization_config"], Json::parse(R"({
    "quant_method": "compressed-tensors", "version": "0.18.0", "format": "nvfp4-pack-quantized",
    "quantization_status": "compressed", "ignore": ["lm_head"], "global_compression_ratio": null,
    "sparsity_config": {}, "transform_config": {},
    "kv_cache_scheme": {"num_bits": 8, "type": "float", "strategy": "tensor", "symmetric": true, "dynamic": false},
    "config_groups": {"group_0": {
      "targets": ["Linear"], "format": "nvfp4-pack-quantized", "output_activations": null,
      "weights": {"num_bits": 4, "type": "float", "symmetric": true, "strategy": "tensor_group", "group_size": 16,
                  "dynamic": false, "actorder": null, "block_structure": null,
                  "scale_dtype": "torch.float8_e4m3fn", "observer": "memoryless_minmax", "observer_kwargs": {}},
      "input_activations": {"num_bits": 4, "type": "float", "symmetric": true, "strategy": "tensor_group",
                            "group_size": 16, "dynamic": "local", "actorder": null, "block_structure": null,
                            "scale_dtype": "torch.float8_e4m3fn", "observer": "static_minmax", "observer_kwargs": {}}}}})"));
}

TEST(LayoutNames, CompressedTensorsWeightOnly) {
  TinyStudent student(small_config(), quantize_blocks("nvfp4", "none"));
  const ExportFiles files = exporter("compressed_tensors").pack(student.exported());
  const Json config = Json::parse(files.texts.at("config.json"));
  EXPECT_TRUE(config["quantization_config"]["config_groups"]["group_0"]["input_activations"].is_null());
  EXPECT_TRUE(config["quantization_config"]["kv_cache_scheme"].is_null());
}

TEST(LayoutNames, CompressedTensorsInOtherFormats) {
  const auto described = [](const QuantizeConfig& quantize) {
    ModelConfig config = small_config();
    config.hidden_size = 64;
    config.intermediate_size = 128;
    TinyStudent student(config, quantize);
    return exporter("compressed_tensors").pack(student.exported());
  };
  const ExportFiles mx = described(quantize_blocks("mxfp4", "mxfp4"));
  const std::vector<std::string> names = sorted_listing(mx);
  EXPECT_TRUE(std::ranges::count(names, "model.layers.0.mlp.gate_proj.weight_packed U8 [128, 32]"));
  EXPECT_TRUE(std::ranges::count(names, "model.layers.0.mlp.gate_proj.weight_scale U8 [128, 2]"));
  Json config = Json::parse(mx.texts.at("config.json"))["quantization_config"];
  EXPECT_EQ(config["format"], "mxfp4-pack-quantized");
  EXPECT_EQ(config["config_groups"]["group_0"]["input_activations"], Json::parse(R"({
    "num_bits": 4, "type": "float", "symmetric": true, "strategy": "group", "group_size": 32, "dynamic": true,
    "actorder": null, "block_structure": null, "scale_dtype": "torch.uint8", "observer": null, "observer_kwargs": {}})"));

  QuantizeConfig two = quantize_blocks("nvfp4", "nvfp4");
  two.rules.push_back({"*self_attn*", "fp8", "fp8"});
  config = Json::parse(described(two).texts.at("config.json"))["quantization_config"];
  EXPECT_EQ(config["format"], "mixed-precision");
  EXPECT_EQ(config["config_groups"]["group_0"]["format"], "nvfp4-pack-quantized");
  EXPECT_EQ(config["config_groups"]["group_0"]["targets"].size(), 6u);
  EXPECT_EQ(config["config_groups"]["group_1"]["format"], "float-quantized");
  EXPECT_EQ(config["config_groups"]["group_1"]["weights"]["strategy"], "tensor");
  EXPECT_EQ(config["config_groups"]["group_1"]["input_activations"]["dynamic"], false);
}

ModelConfig wide_layers() {
  ModelConfig config = small_config();
  config.hidden_size = config.intermediate_size = 128;
  return config;
}

Json group_of(const char* format, const char* weights, const char* inputs) {
  Json group = {{"targets", {"Linear"}}, {"format", format}, {"output_activations", nullptr}};
  const Json operand = {{"symmetric", true},
                        {"group_size", nullptr},
                        {"dynamic", false},
                        {"actorder", nullptr},
                        {"block_structure", nullptr},
                        {"scale_dtype", nullptr},
                        {"observer", "memoryless_minmax"},
                        {"observer_kwargs", Json::object()}};
  group["weights"] = operand;
  group["weights"].update(Json::parse(weights));
  group["input_activations"] = nullptr;
  if (*inputs != 0) {
    group["input_activations"] = operand;
    group["input_activations"].update(Json::parse(inputs));
  }
  return group;
}

// As compressed-tensors 0.20 writes them (`pack-quantized`, `float-quantized`, `naive-quantized`).
TEST(LayoutNames, CompressedTensorsInIntegersAndRowsOfFp8) {
  struct Case {
    const char *weights, *inputs;
    std::vector<std::string> gate;  // dtypes and shapes of model.layers.0.mlp.gate_proj
    const char *format, *weights_json, *inputs_json;
    const char* dtype;  // in which readers are to compute
  };
  const std::vector<std::string> words4 = {".weight_packed I32 [128, 16]", ".weight_scale BF16 [128, 1]",
                                           ".weight_shape I64 [2]"};
  const std::vector<std::string> words8 = {".weight_packed I32 [128, 32]", ".weight_scale F32 [128, 1]",
                                           ".weight_shape I64 [2]"};
  const std::vector<std::string> rows = {".weight F8_E4M3 [128, 128]", ".weight_scale F32 [128, 1]"};
  const std::vector<std::string> whole = {".weight F8_E4M3 [128, 128]", ".weight_scale BF16 [1]"};
  for (const Case& test :
       {Case{"int4_g128", "none", words4, "pack-quantized",
             R"({"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128})", "", "float32"},
        Case{"int8", "none", words8, "pack-quantized", R"({"num_bits": 8, "type": "int", "strategy": "channel"})", "",
             "float32"},
        Case{"fp8_channel", "none", rows, "naive-quantized",
             R"({"num_bits": 8, "type": "float", "strategy": "channel"})", "", "float32"},
        Case{"fp8_channel", "fp8_channel", rows, "float-quantized",
             R"({"num_bits": 8, "type": "float", "strategy": "channel"})",
             R"({"num_bits": 8, "type": "float", "strategy": "token", "dynamic": true, "observer": null})", "float32"},
        Case{"fp8", "none", whole, "naive-quantized", R"({"num_bits": 8, "type": "float", "strategy": "tensor"})", "",
             "bfloat16"}}) {
    SCOPED_TRACE(std::string(test.weights) + " " + test.inputs);
    TinyStudent student(wide_layers(), quantize_blocks(test.weights, test.inputs));
    const ExportFiles files = exporter("compressed_tensors").pack(student.exported());
    const std::vector<std::string> names = sorted_listing(files);
    const std::string gate = "model.layers.0.mlp.gate_proj";
    std::vector<std::string> found;
    for (const std::string& name : names)
      if (name.starts_with(gate)) found.push_back(name.substr(gate.size()));
    EXPECT_EQ(found, test.gate);
    EXPECT_EQ(names.size(), 2 + 2 * (2 + 7 * test.gate.size()));
    const Json config = Json::parse(files.texts.at("config.json"));
    EXPECT_EQ(config["torch_dtype"], test.dtype);
    EXPECT_EQ(config["quantization_config"]["format"], test.format);
    EXPECT_EQ(config["quantization_config"]["ignore"], Json::array({"lm_head"}));
    EXPECT_EQ(config["quantization_config"]["config_groups"],
              (Json{{"group_0", group_of(test.format, test.weights_json, test.inputs_json)}}));
  }
}

// As transformers 5.24 writes what bitsandbytes 0.50 quantized.
TEST(LayoutNames, Bitsandbytes) {
  QuantizeConfig quantize = quantize_blocks("nf4_g64", "none");
  quantize.rules.push_back({"*.1.mlp.down_proj", "none", "none"});
  TinyStudent student(wide_layers(), quantize);
  const ExportFiles files = exporter("bitsandbytes").pack(student.exported());
  const std::vector<std::string> names = sorted_listing(files);
  EXPECT_EQ(names.size(), 2u + 2 * (2 + 7 * 4) - 3);
  const std::string k = "model.layers.0.self_attn.k_proj.weight";
  std::vector<std::string> found;
  for (const std::string& name : names)
    if (name.starts_with(k)) found.push_back(name.substr(k.size()));
  EXPECT_EQ(found, (std::vector<std::string>{" U8 [4096, 1]", ".absmax F32 [128]", ".quant_map F32 [16]",
                                             ".quant_state.bitsandbytes__nf4 U8 [78]"}));
  EXPECT_TRUE(std::ranges::count(names, "model.layers.1.mlp.down_proj.weight F32 [128, 128]"));
  const auto state = std::ranges::find(files.tensors, k + ".quant_state.bitsandbytes__nf4", &FileTensor::name);
  const auto bytes = state->data.span<std::uint8_t>();
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()),
            R"({"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [64, 128]})");
  const Json config = Json::parse(files.texts.at("config.json"));
  EXPECT_EQ(config["torch_dtype"], "float32");
  EXPECT_EQ(config["quantization_config"], Json::parse(R"({
    "quant_method": "bitsandbytes", "load_in_4bit": true, "load_in_8bit": false, "_load_in_4bit": true,
    "_load_in_8bit": false, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": false,
    "bnb_4bit_compute_dtype": "float32", "bnb_4bit_quant_storage": "uint8",
    "llm_int8_skip_modules": ["model.layers.1.mlp.down_proj", "lm_head"], "llm_int8_threshold": 6.0,
    "llm_int8_has_fp16_weight": false, "llm_int8_enable_fp32_cpu_offload": false})"));
}

TEST(LayoutNames, TheOriginalConfigKeepsItsKeys) {
  TinyStudent student(small_config(), quantize_blocks("nvfp4", "nvfp4"));
  ExportModel model = student.exported();
  model.config_json = R"({"model_type": "llama", "rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3",
    "factor": 8.0}, "custom": [1, 2], "dtype": "float32", "quantization_config": {"quant_method": "old"}})";
  const Json config = Json::parse(exporter("dense").pack(model).texts.at("config.json"));
  EXPECT_EQ(config, Json::parse(R"({"model_type": "llama", "rope_theta": 500000.0, "rope_scaling":
    {"rope_type": "llama3", "factor": 8.0}, "custom": [1, 2], "dtype": "bfloat16", "torch_dtype": "bfloat16"})"));
}

// config.json of an export of a student that began with this config.
Json exported_config(const std::string& original) {
  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "config.json", original);
  const ModelConfig config = parse_hf_config(original, "config.json");
  const auto model = initialize_model(config, 1);
  QuantizerSet quantizers = attach_quantizers(*model, quantize_blocks("none", "none"));
  return Json::parse(export_model_of(*model, quantizers, folder.path()).config_json);
}

TEST(LayoutNames, PositionsAndClassAreWhatEveryReaderTakes) {
  const std::string sizes = R"("model_type": "llama", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48,
    "num_hidden_layers": 1, "num_attention_heads": 4, "time_step_limit": [0.0, Infinity], )";
  const Json today = exported_config("{" + sizes + R"("architectures": ["LlamaModel"], "rope_scaling": null,
    "rope_parameters": {"rope_type": "yarn", "rope_theta": 500.0, "factor": 2.0, "mscale": 0.7, "mscale_all_dim": 0.7}})");
  EXPECT_EQ(today["architectures"], Json::parse(R"(["LlamaForCausalLM"])"));
  EXPECT_EQ(today["rope_theta"], 500.0);
  EXPECT_EQ(today["rope_scaling"], Json::parse(R"({"rope_type": "yarn", "rope_theta": 500.0, "factor": 2.0,
    "attention_factor": 1.0, "beta_fast": 32.0, "beta_slow": 1.0, "original_max_position_embeddings": 2048})"));
  EXPECT_EQ(today["rope_parameters"]["mscale"], 0.7);
  EXPECT_EQ(today["time_step_limit"],
            Json::parse(R"([0.0, {"__float__": "Infinity"}])"));  // as transformers 5 writes it
  EXPECT_NO_THROW(static_cast<void>(parse_hf_config(today.dump(), "again")));
  const Json old = exported_config("{" + sizes + R"("architectures": ["Custom"], "rope_theta": 500.0,
    "rope_scaling": {"type": "linear", "factor": 2.0}})");
  EXPECT_EQ(old["architectures"], Json::parse(R"(["Custom"])"));
  EXPECT_EQ(old["rope_scaling"], Json::parse(R"({"type": "linear", "factor": 2.0})"));
  EXPECT_FALSE(old.contains("rope_parameters"));
}

}  // namespace
}  // namespace qad
