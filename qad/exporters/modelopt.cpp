#include "qad/exporters/modelopt.h"

#include <map>
#include <nlohmann/json.hpp>

#include "autograd/core/error.h"
#include "qad/exporters/layout_files.h"

namespace qad {
namespace {

constexpr std::string_view kNvfp4 = "NVFP4", kWeightOnlyNvfp4 = "W4A16_NVFP4", kFp8 = "FP8", kMixed = "MIXED_PRECISION";
constexpr const char* kKeyScale = ".k_proj.k_scale";
constexpr const char* kValueScale = ".v_proj.v_scale";
/// Of the ModelOpt whose layout this is; readers ask for producer and version.
constexpr const char* kLayoutVersion = "0.47.0";

/// ModelOpt's name for how a layer is quantized.
std::string_view algorithm(const ExportLinear& linear) {
  const std::string_view weight = linear.weight->format->name;
  const std::string_view input = linear.input ? linear.input->format->name : "none";
  if (weight == "nvfp4" && input == "nvfp4") return kNvfp4;
  if (weight == "nvfp4" && input == "none") return kWeightOnlyNvfp4;
  if (weight == "fp8" && input == "fp8") return kFp8;
  throw Error({linear.name, "nvfp4 weights with nvfp4 or plain inputs, or fp8 weights with fp8 inputs",
               std::string(weight) + " weights with " + std::string(input) + " inputs",
               "the modelopt layout has no place for these; export as dense"});
}

void append_linear(const ExportLinear& linear, std::vector<FileTensor>& tensors) {
  const QuantizedTensor& weight = *linear.weight;
  const auto add_scale = [&](const char* suffix, float scale) {
    tensors.push_back(scalar_tensor(linear.name + suffix, {}, scale));
  };
  if (algorithm(linear) == kFp8) {
    tensors.push_back({linear.name + ".weight", "F8_E4M3", weight.codes});
    add_scale(".weight_scale", weight.tensor_scale);
  } else {
    tensors.push_back({linear.name + ".weight", "U8", weight.codes});
    tensors.push_back({linear.name + ".weight_scale", "F8_E4M3", weight.scales});
    add_scale(".weight_scale_2", weight.tensor_scale);
  }
  if (linear.input) add_scale(".input_scale", linear.input->tensor_scale);
}

OrderedJson operand(std::string_view algo) {
  if (algo == kFp8) return {{"dynamic", false}, {"num_bits", 8}, {"type", "float"}};
  return {{"dynamic", false}, {"num_bits", 4}, {"type", "float"}, {"group_size", 16}};
}

OrderedJson config_group(std::string_view algo, const OrderedJson& targets) {
  OrderedJson group;
  group["weights"] = operand(algo);
  if (algo != kWeightOnlyNvfp4) group["input_activations"] = operand(algo);
  group["targets"] = targets;
  return group;
}

/// What hf_quant_config.json says under "quantization".
OrderedJson quantization_of(const ExportModel& model) {
  OrderedJson layers = OrderedJson::object();
  std::set<std::string_view> algorithms;
  for (const ExportLinear& linear : model.linears) {
    if (!linear.weight) continue;
    const std::string_view algo = *algorithms.insert(algorithm(linear)).first;
    layers[linear.name] = {{"quant_algo", algo}};
    if (algo != kFp8) layers[linear.name]["group_size"] = 16;
  }
  const bool mixed = algorithms.size() > 1;
  OrderedJson json;
  json["quant_algo"] = mixed ? kMixed : *algorithms.begin();
  json["kv_cache_quant_algo"] = model.key_value_scales.empty() ? OrderedJson(nullptr) : OrderedJson("FP8");
  if (mixed || !algorithms.contains(kFp8)) json["group_size"] = 16;
  json["exclude_modules"] = unquantized_names(model);
  if (mixed) json["quantized_layers"] = layers;
  return json;
}

/// The same in the words of config.json.
OrderedJson quantization_config(const ExportModel& model, const OrderedJson& quantization,
                                const OrderedJson& producer) {
  std::map<std::string_view, OrderedJson> targets;  // layers by algorithm
  for (const ExportLinear& linear : model.linears)
    if (linear.weight) targets[algorithm(linear)].push_back(linear.name);
  OrderedJson groups;
  for (const auto& [algo, layers] : targets)
    groups["group_" + std::to_string(groups.size())] =
        config_group(algo, targets.size() == 1 ? OrderedJson::array({"Linear"}) : layers);

  OrderedJson json;
  json["config_groups"] = groups;
  json["ignore"] = quantization["exclude_modules"];
  json["quant_algo"] = quantization["quant_algo"];
  if (quantization.contains("quantized_layers")) json["quantized_layers"] = quantization["quantized_layers"];
  if (!model.key_value_scales.empty())
    json["kv_cache_scheme"] = {{"dynamic", false}, {"num_bits", 8}, {"type", "float"}};
  json["producer"] = producer;
  json["quant_method"] = "modelopt";
  return json;
}

/// Older checkpoints have only hf_quant_config.json, others only config.json.
std::vector<std::string> excluded(const ExportFiles& files) {
  if (files.texts.contains("hf_quant_config.json"))
    return names_at(parse_text(files, "hf_quant_config.json"), {"quantization", "exclude_modules"});
  return names_at(parse_text(files, "config.json"), {"quantization_config", "ignore"});
}

}  // namespace

ExportFiles pack_modelopt(const ExportModel& model) {
  check_has_codes(model);
  ExportFiles files;
  append_dense(model, files.tensors);
  for (const ExportLinear& linear : model.linears)
    if (linear.weight) append_linear(linear, files.tensors);
  for (const KeyValueScale& scale : model.key_value_scales) {
    files.tensors.push_back(scalar_tensor(scale.attention + kKeyScale, {}, scale.key));
    files.tensors.push_back(scalar_tensor(scale.attention + kValueScale, {}, scale.value));
  }
  const OrderedJson producer = {{"name", "modelopt"}, {"version", kLayoutVersion}};
  const OrderedJson quantization = quantization_of(model);
  OrderedJson config = config_of(model, model.dense_type);
  config["quantization_config"] = quantization_config(model, quantization, producer);
  files.texts["config.json"] = to_text(config);
  files.texts["hf_quant_config.json"] = to_text({{"producer", producer}, {"quantization", quantization}});
  return files;
}

ExportModel unpack_modelopt(const ExportFiles& files) {
  TensorTable tensors(files.tensors);
  ExportModel model;
  model.config_json = plain_config(files);
  const auto take_input = [&](ExportLinear& linear, const char* format) {
    if (const std::string name = linear.name + ".input_scale"; tensors.has(name))
      linear.input = {&block_format(format), tensors.take_scale(name)};
    model.linears.push_back(std::move(linear));
  };
  for (const std::string& name : tensors.stems(".weight_scale_2")) {
    const float scale = tensors.take_scale(name + ".weight_scale_2");
    ExportLinear linear{name, "", tensors.take_blocks("nvfp4", name + ".weight", name + ".weight_scale", scale), {}};
    take_input(linear, "nvfp4");
  }
  for (const std::string& name : tensors.stems(".weight_scale")) {
    if (tensors.has(name + ".weight_scale_2")) continue;
    const float scale = tensors.take_scale(name + ".weight_scale");
    ExportLinear linear{name, "", tensors.take_fp8(name + ".weight", scale), {}};
    take_input(linear, "fp8");
  }
  for (const std::string& name : tensors.stems(kKeyScale))
    model.key_value_scales.push_back(
        {name, tensors.take_scale(name + kKeyScale), tensors.take_scale(name + kValueScale)});
  for (const std::string& name : excluded(files)) model.linears.push_back({name, "", {}, {}});
  model.dense = tensors.rest();
  return model;
}

}  // namespace qad
