#include "qad/exporters/compressed_tensors.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "autograd/core/error.h"
#include "qad/exporters/layout_files.h"

namespace qad {
namespace {

constexpr const char* kVersion = "0.18.0";  // of the compressed-tensors whose layout this is
constexpr const char* kMixed = "mixed-precision";

/// How the layout tells of a number format.
struct Packing {
  std::string_view format;  ///< ours
  const char* name;
  int bits;
  const char* strategy;
  int group_size;           ///< 0: none
  const char* scale_dtype;  ///< of block scales; null: none
  bool weights_alone;       ///< inputs may stay as they are
};
constexpr std::array kPackings = {
    Packing{"nvfp4", "nvfp4-pack-quantized", 4, "tensor_group", 16, "torch.float8_e4m3fn", true},
    Packing{"mxfp4", "mxfp4-pack-quantized", 4, "group", 32, "torch.uint8", true},
    Packing{"fp8", "float-quantized", 8, "tensor", 0, nullptr, false}};

/// Throws for a layer that the layout has no place for.
const Packing& packing_of(const ExportLinear& linear) {
  const std::string_view weight = linear.weight->format->name;
  const std::string_view input = linear.input ? linear.input->format->name : "none";
  const auto found = std::ranges::find(kPackings, weight, &Packing::format);
  if (found == kPackings.end() || (input != weight && !(input == "none" && found->weights_alone)))
    throw Error({linear.name,
                 "nvfp4 or mxfp4 weights with inputs of their kind or plain ones, or fp8 weights and inputs",
                 std::string(weight) + " weights with " + std::string(input) + " inputs",
                 "the compressed_tensors layout has no place for these; export as dense"});
  return *found;
}

/// Every number that is stored inverted.
void check_power_of_two(const std::string& who, float scale) {
  int exponent;
  if (std::frexp(scale, &exponent) != 0.5f)
    throw Error(
        {who, "a tensor scale that is a power of two", std::to_string(scale),
         "compressed-tensors stores its reciprocal; train with tensor_scale.round: pow2, or export as modelopt"});
}

/// A multiplier, in the model's type as llm-compressor writes it, or in FP32, which loaders take as well, where that
/// would round.
FileTensor multiplier(const std::string& name, float scale) {
  const bool fits = bf16_to_f32(f32_to_bf16(scale)) == scale;
  return scalar_tensor(name, {1}, scale, fits ? DType::bf16 : DType::f32);
}

void append_linear(const ExportLinear& linear, std::vector<FileTensor>& tensors) {
  const QuantizedTensor& weight = *linear.weight;
  const Packing& packing = packing_of(linear);
  const auto add_divisor = [&](const char* suffix, const char* operand, float scale) {
    check_power_of_two(linear.name + operand, scale);
    tensors.push_back(scalar_tensor(linear.name + suffix, {1}, 1.0f / scale));
  };
  if (packing.format == "fp8") {
    tensors.push_back({linear.name + ".weight", "F8_E4M3", weight.codes});
    tensors.push_back(multiplier(linear.name + ".weight_scale", weight.tensor_scale));
    tensors.push_back(multiplier(linear.name + ".input_scale", linear.input->tensor_scale));
    return;
  }
  tensors.push_back({linear.name + ".weight_packed", "U8", weight.codes});
  tensors.push_back({linear.name + ".weight_scale", packing.format == "nvfp4" ? "F8_E4M3" : "U8", weight.scales});
  if (packing.format == "mxfp4") return;
  add_divisor(".weight_global_scale", ".weight", weight.tensor_scale);
  if (linear.input) add_divisor(".input_global_scale", " (input)", linear.input->tensor_scale);
}

/// Without scale_dtype, compressed-tensors leaves the scales of inputs unrounded where it emulates W4A4 (seen in 0.20).
/// Readers before its 0.13 do not know the key.
OrderedJson operand(const Packing& packing, bool input) {
  const auto or_null = [](const auto& value) { return value ? OrderedJson(value) : OrderedJson(nullptr); };
  OrderedJson json;
  json["num_bits"] = packing.bits;
  json["type"] = "float";
  json["symmetric"] = true;
  json["strategy"] = packing.strategy;
  json["group_size"] = or_null(packing.group_size);
  json["dynamic"] = false;
  if (input && packing.format == "nvfp4") json["dynamic"] = "local";
  if (input && packing.format == "mxfp4") json["dynamic"] = true;
  json["actorder"] = nullptr;
  json["block_structure"] = nullptr;
  json["scale_dtype"] = or_null(packing.scale_dtype);
  json["observer"] = input ? "static_minmax" : "memoryless_minmax";
  if (json["dynamic"] == true) json["observer"] = nullptr;
  json["observer_kwargs"] = OrderedJson::object();
  return json;
}

OrderedJson config_group(const Packing& packing, bool inputs, const OrderedJson& targets) {
  OrderedJson group;
  group["targets"] = targets;
  group["format"] = packing.name;
  group["weights"] = operand(packing, false);
  group["input_activations"] = inputs ? operand(packing, true) : OrderedJson(nullptr);
  group["output_activations"] = nullptr;
  return group;
}

OrderedJson quantization_config(const ExportModel& model) {
  // Layers by how they are quantized; those with quantized inputs come first.
  std::vector<OrderedJson> kinds;
  std::set<std::string> formats;
  for (const bool inputs : {true, false}) {
    for (const Packing& packing : kPackings) {
      OrderedJson targets = OrderedJson::array();
      for (const ExportLinear& linear : model.linears)
        if (linear.weight && linear.input.has_value() == inputs && &packing_of(linear) == &packing)
          targets.push_back(linear.name);
      if (targets.empty()) continue;
      kinds.push_back(config_group(packing, inputs, targets));
      formats.insert(packing.name);
    }
  }
  if (kinds.size() == 1) kinds.front()["targets"] = OrderedJson::array({"Linear"});
  OrderedJson groups;
  for (std::size_t i = 0; i < kinds.size(); ++i) groups["group_" + std::to_string(i)] = kinds[i];

  OrderedJson json;
  json["config_groups"] = groups;
  json["format"] = formats.size() > 1 ? kMixed : formats.begin()->c_str();
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

/// Whether a layer's inputs are quantized by scales that follow the data alone, of which only config.json tells.
bool has_dynamic_input(const OrderedJson& config, const std::string& layer) {
  const OrderedJson groups = config.value("/quantization_config/config_groups"_json_pointer, OrderedJson::object());
  return std::ranges::any_of(groups, [&](const OrderedJson& group) {
    const OrderedJson targets = group.value("targets", OrderedJson::array());
    return group.contains("input_activations") && group["input_activations"].is_object() &&
           std::ranges::any_of(targets, [&](const OrderedJson& one) { return one == "Linear" || one == layer; });
  });
}

}  // namespace

ExportFiles pack_compressed_tensors(const ExportModel& model) {
  check_has_codes(model);
  ExportFiles files;
  append_dense(model, files.tensors);
  for (const ExportLinear& linear : model.linears)
    if (linear.weight) append_linear(linear, files.tensors);
  for (const auto& [attention, key, value] : model.key_value_scales) {
    files.tensors.push_back(multiplier(attention + ".k_scale", key));
    files.tensors.push_back(multiplier(attention + ".v_scale", value));
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
  const OrderedJson config = parse_text(files, "config.json");
  for (const std::string& name : tensors.stems(".weight_packed")) {
    const std::string codes = name + ".weight_packed", scales = name + ".weight_scale";
    ExportLinear linear{name, "", {}, {}};
    if (const std::string divisor = name + ".weight_global_scale"; tensors.has(divisor)) {
      linear.weight = tensors.take_blocks("nvfp4", codes, scales, 1.0f / tensors.take_scale(divisor));
      if (const std::string input = name + ".input_global_scale"; tensors.has(input))
        linear.input = {&block_format("nvfp4"), 1.0f / tensors.take_scale(input)};
    } else {
      linear.weight = tensors.take_blocks("mxfp4", codes, scales, 1.0f);
      if (has_dynamic_input(config, name)) linear.input = {&block_format("mxfp4"), 1.0f};
    }
    model.linears.push_back(std::move(linear));
  }
  for (const std::string& name : tensors.stems(".weight_scale")) {
    if (tensors.has(name + ".weight_packed")) continue;
    const float scale = tensors.take_scale(name + ".weight_scale");
    ExportLinear linear{name, "", tensors.take_fp8(name + ".weight", scale), {}};
    linear.input = {&block_format("fp8"), tensors.take_scale(name + ".input_scale")};
    model.linears.push_back(std::move(linear));
  }
  for (const std::string& name : tensors.stems(".k_scale"))
    model.key_value_scales.push_back(
        {name, tensors.take_scale(name + ".k_scale"), tensors.take_scale(name + ".v_scale")});
  for (const std::string& name : names_at(config, {"quantization_config", "ignore"}))
    model.linears.push_back({name, "", {}, {}});
  model.dense = tensors.rest();
  return model;
}

}  // namespace qad
