#include "qad/exporters/compressed_tensors.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "autograd/core/error.h"
#include "qad/exporters/layout_files.h"

namespace qad {
namespace {

constexpr const char* kFormat = "nvfp4-pack-quantized";
constexpr const char* kVersion = "0.18.0";  // of the compressed-tensors whose layout this is

/// Every number that is stored inverted.
void check_power_of_two(const std::string& who, float scale) {
  int exponent;
  if (std::frexp(scale, &exponent) != 0.5f)
    throw Error(
        {who, "a tensor scale that is a power of two", std::to_string(scale),
         "compressed-tensors stores its reciprocal; train with tensor_scale.round: pow2, or export as modelopt"});
}

void check(const ExportLinear& linear) {
  const std::string_view weight = linear.weight->format->name;
  const std::string_view input = linear.input ? linear.input->format->name : "none";
  if (weight != "nvfp4" || (input != "nvfp4" && input != "none"))
    throw Error({linear.name, "nvfp4 weights with nvfp4 or plain inputs",
                 std::string(weight) + " weights with " + std::string(input) + " inputs",
                 "the compressed_tensors layout has no place for these; export as dense"});
  check_power_of_two(linear.name + ".weight", linear.weight->tensor_scale);
  if (linear.input) check_power_of_two(linear.name + " (input)", linear.input->tensor_scale);
}

void append_linear(const ExportLinear& linear, std::vector<FileTensor>& tensors) {
  check(linear);
  const QuantizedTensor& weight = *linear.weight;
  tensors.push_back({linear.name + ".weight_packed", "U8", weight.codes});
  tensors.push_back({linear.name + ".weight_scale", "F8_E4M3", weight.scales});
  tensors.push_back(scalar_tensor(linear.name + ".weight_global_scale", {1}, 1.0f / weight.tensor_scale));
  if (linear.input)
    tensors.push_back(scalar_tensor(linear.name + ".input_global_scale", {1}, 1.0f / linear.input->tensor_scale));
}

/// In the model's type as llm-compressor writes it, or in FP32, which loaders take as well, where that would round.
FileTensor cache_scale(const std::string& name, float scale) {
  const bool fits = bf16_to_f32(f32_to_bf16(scale)) == scale;
  return scalar_tensor(name, {1}, scale, fits ? DType::bf16 : DType::f32);
}

/// Without scale_dtype, compressed-tensors leaves the scales of inputs unrounded where it emulates W4A4 (seen in 0.20).
/// Readers before its 0.13 do not know the key.
OrderedJson operand(bool input) {
  OrderedJson json;
  json["num_bits"] = 4;
  json["type"] = "float";
  json["symmetric"] = true;
  json["strategy"] = "tensor_group";
  json["group_size"] = 16;
  json["dynamic"] = input ? OrderedJson("local") : OrderedJson(false);
  json["actorder"] = nullptr;
  json["block_structure"] = nullptr;
  json["scale_dtype"] = "torch.float8_e4m3fn";
  json["observer"] = input ? "static_minmax" : "memoryless_minmax";
  json["observer_kwargs"] = OrderedJson::object();
  return json;
}

OrderedJson config_group(bool inputs, const OrderedJson& targets) {
  OrderedJson group;
  group["targets"] = targets;
  group["format"] = kFormat;
  group["weights"] = operand(false);
  group["input_activations"] = inputs ? operand(true) : OrderedJson(nullptr);
  group["output_activations"] = nullptr;
  return group;
}

OrderedJson quantization_config(const ExportModel& model) {
  OrderedJson w4a4 = OrderedJson::array(), w4a16 = OrderedJson::array();
  for (const ExportLinear& linear : model.linears)
    if (linear.weight) (linear.input ? w4a4 : w4a16).push_back(linear.name);
  const bool mixed = !w4a4.empty() && !w4a16.empty();
  const OrderedJson linear_class = OrderedJson::array({"Linear"});
  OrderedJson groups;
  if (!w4a4.empty()) groups["group_0"] = config_group(true, mixed ? w4a4 : linear_class);
  if (!w4a16.empty()) groups[mixed ? "group_1" : "group_0"] = config_group(false, mixed ? w4a16 : linear_class);

  OrderedJson json;
  json["config_groups"] = groups;
  json["format"] = kFormat;
  json["global_compression_ratio"] = nullptr;
  json["ignore"] = unquantized_names(model);
  json["kv_cache_scheme"] = nullptr;
  if (!model.key_value_scales.empty())
    json["kv_cache_scheme"] = {
        {"num_bits", 8}, {"type", "float"}, {"strategy", "tensor"}, {"symmetric", true}, {"dynamic", false}};
  json["quant_method"] = "compressed-tensors";
  json["quantization_status"] = "compressed";
  json["sparsity_config"] = OrderedJson::object();
  json["transform_config"] = OrderedJson::object();
  json["version"] = kVersion;
  return json;
}

}  // namespace

ExportFiles pack_compressed_tensors(const ExportModel& model) {
  check_has_codes(model);
  ExportFiles files;
  append_dense(model, files.tensors);
  for (const ExportLinear& linear : model.linears)
    if (linear.weight) append_linear(linear, files.tensors);
  for (const auto& [attention, key, value] : model.key_value_scales) {
    files.tensors.push_back(cache_scale(attention + ".k_scale", key));
    files.tensors.push_back(cache_scale(attention + ".v_scale", value));
  }
  OrderedJson config = config_of(model, model.dense_type);
  config["quantization_config"] = quantization_config(model);
  files.texts["config.json"] = to_text(config);
  return files;
}

ExportModel unpack_compressed_tensors(const ExportFiles& files) {
  TensorTable tensors(files.tensors);
  ExportModel model;
  model.config_json = plain_config(files);
  for (const std::string& name : tensors.stems(".weight_packed")) {
    const float scale = 1.0f / tensors.take_scale(name + ".weight_global_scale");
    ExportLinear linear{name, "", tensors.take_nvfp4(name + ".weight_packed", name + ".weight_scale", scale), {}};
    if (const std::string input = name + ".input_global_scale"; tensors.has(input))
      linear.input = {&block_format("nvfp4"), 1.0f / tensors.take_scale(input)};
    model.linears.push_back(std::move(linear));
  }
  for (const std::string& name : tensors.stems(".k_scale"))
    model.key_value_scales.push_back(
        {name, tensors.take_scale(name + ".k_scale"), tensors.take_scale(name + ".v_scale")});
  for (const std::string& name : names_at(parse_text(files, "config.json"), {"quantization_config", "ignore"}))
    model.linears.push_back({name, "", {}, {}});
  model.dense = tensors.rest();
  return model;
}

}  // namespace qad
