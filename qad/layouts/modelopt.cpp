#include "qad/layouts/modelopt.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "autograd/base/error.h"
#include "qad/layouts/export_refusals.h"
#include "qad/layouts/stored_layer.h"

namespace qad {
namespace {

constexpr const char* kMixedAlgo = "MIXED_PRECISION";
constexpr const char* kKeyScale = ".k_proj.k_scale";
constexpr const char* kValueScale = ".v_proj.v_scale";
// Of the ModelOpt whose layout this is; readers ask for producer and version.
constexpr const char* kLayoutVersion = "0.47.0";

constexpr auto kNvfp4Parts = std::to_array<StoredPart>({{".weight", "U8", &kCodes},
                                                        {".weight_scale", "F8_E4M3", &kBlockScales},
                                                        {".weight_scale_2", "", &kScale},
                                                        {".input_scale", "", &kInputScale}});
constexpr auto kFp8Parts = std::to_array<StoredPart>(
    {{".weight", "F8_E4M3", &kCodes}, {".weight_scale", "", &kScale}, {".input_scale", "", &kInputScale}});

struct Algorithm {
  StoredLayer stored;
  std::string_view name;  // ModelOpt's, for how a layer is quantized
  int bits, group_size;   // 0: none

  [[nodiscard]] bool quantizes_inputs() const { return stored.inputs != "none"; }
};
constexpr auto kAlgorithms =
    std::to_array<Algorithm>({{{"nvfp4", "nvfp4", kNvfp4Parts}, "NVFP4", 4, 16},
                              {{"nvfp4", "none", std::span(kNvfp4Parts).first(3)}, "W4A16_NVFP4", 4, 16},
                              {{"fp8", "fp8", kFp8Parts}, "FP8", 8, 0}});

const Algorithm& algorithm(const ExportLinear& linear) {
  const Algorithm* const row = find_row(std::span<const Algorithm>(kAlgorithms), formats_of(linear));
  QAD_ASSERT(row != nullptr);  // a layer without a place was refused
  return *row;
}

// How the tensors of a file say that a layer is stored.
const Algorithm& stored_algorithm(const std::string& layer, const TensorTable& tensors) {
  const std::string_view codes = tensors.dtype_of(layer + ".weight");
  const bool has_inputs = tensors.has(layer + ".input_scale");
  for (const Algorithm& row : kAlgorithms)
    if (row.stored.parts.front().dtype == codes && row.quantizes_inputs() == has_inputs) return row;
  throw Error(
      {layer, "NVFP4 codes in U8, or FP8 weights and inputs in F8_E4M3",
       fmt::format("{} with{} a scale of the input", codes.empty() ? "no weight" : codes, has_inputs ? "" : "out"),
       "other layers of ModelOpt can't be read"});
}

OrderedJson operand(const Algorithm& row) {
  OrderedJson json = {{"dynamic", false}, {"num_bits", row.bits}, {"type", "float"}};
  if (row.group_size > 0) json["group_size"] = row.group_size;
  return json;
}

OrderedJson config_group(const Algorithm& row, const OrderedJson& targets) {
  OrderedJson group;
  group["weights"] = operand(row);
  if (row.quantizes_inputs()) group["input_activations"] = operand(row);
  group["targets"] = targets;
  return group;
}

// Layers by how they are quantized, in the order of the algorithms' names.
std::map<std::string_view, std::vector<const ExportLinear*>> by_algorithm(const ExportModel& model) {
  std::map<std::string_view, std::vector<const ExportLinear*>> layers;
  for (const ExportLinear& linear : model.linears)
    if (linear.weight) layers[algorithm(linear).name].push_back(&linear);
  return layers;
}

// What hf_quant_config.json says under "quantization".
OrderedJson quantization_of(const ExportModel& model) {
  OrderedJson layers = OrderedJson::object();
  int group_size = 0;
  for (const ExportLinear& linear : model.linears) {
    if (!linear.weight) continue;
    const Algorithm& row = algorithm(linear);
    layers[linear.name] = {{"quant_algo", row.name}};
    if (row.group_size > 0) layers[linear.name]["group_size"] = group_size = row.group_size;
  }
  const auto algorithms = by_algorithm(model);
  const bool mixed = algorithms.size() > 1;
  OrderedJson json;
  json["quant_algo"] = mixed ? kMixedAlgo : algorithms.begin()->first;
  json["kv_cache_quant_algo"] = model.key_value_scales.empty() ? OrderedJson(nullptr) : OrderedJson("FP8");
  if (group_size > 0) json["group_size"] = group_size;
  json["exclude_modules"] = unquantized_names(model);
  if (mixed) json["quantized_layers"] = layers;
  return json;
}

// The same in the words of config.json.
OrderedJson quantization_config(const ExportModel& model, const OrderedJson& quantization,
                                const OrderedJson& producer) {
  const auto algorithms = by_algorithm(model);
  OrderedJson groups;
  for (const auto& [name, linears] : algorithms) {
    OrderedJson targets = OrderedJson::array();
    for (const ExportLinear* linear : linears) targets.push_back(linear->name);
    if (algorithms.size() == 1) targets = OrderedJson::array({"Linear"});
    groups["group_" + std::to_string(groups.size())] = config_group(algorithm(*linears.front()), targets);
  }

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

// Older checkpoints have only hf_quant_config.json, others only config.json.
std::vector<std::string> excluded(const ExportFiles& files) {
  if (files.texts.contains("hf_quant_config.json"))
    return names_at(parse_text(files, "hf_quant_config.json"), {"quantization", "exclude_modules"});
  return names_at(parse_text(files, "config.json"), {"quantization_config", "ignore"});
}

}  // namespace

bool holds_modelopt(const LayerFormats& formats) {
  return find_row(std::span<const Algorithm>(kAlgorithms), formats) != nullptr;
}

void pack_modelopt_tensors(const ExportModel& model, ExportFiles& files) {
  append_dense(model, files.tensors);
  for (const ExportLinear& linear : model.linears)
    if (linear.weight) append_parts(algorithm(linear).stored, linear, files.tensors);
  for (const KeyValueScale& scale : model.key_value_scales) {
    files.tensors.push_back(scalar_tensor(scale.attention + kKeyScale, {}, scale.key));
    files.tensors.push_back(scalar_tensor(scale.attention + kValueScale, {}, scale.value));
  }
}

void pack_modelopt_texts(const ExportModel& model, ExportFiles& files) {
  const OrderedJson producer = {{"name", "modelopt"}, {"version", kLayoutVersion}};
  const OrderedJson quantization = quantization_of(model);
  OrderedJson config = config_of(model, model.dense_type);
  config["quantization_config"] = quantization_config(model, quantization, producer);
  files.texts["config.json"] = to_text(config);
  files.texts["hf_quant_config.json"] = to_text({{"producer", producer}, {"quantization", quantization}});
}

ExportModel unpack_modelopt(const ExportFiles& files) {
  TensorTable tensors(files.tensors);
  ExportModel model;
  model.config_json = plain_config(files);
  for (const std::string& name : stored_layers(std::span<const Algorithm>(kAlgorithms), tensors))
    model.linears.push_back(take_parts(stored_algorithm(name, tensors).stored, name, tensors));
  for (const std::string& name : tensors.stems({kKeyScale}))
    add_cache_scale(model, {name, tensors.take_scale(name + kKeyScale), tensors.take_scale(name + kValueScale)});
  for (const std::string& name : excluded(files)) model.linears.push_back({name, "", {}, {}});
  model.dense = tensors.rest();
  return model;
}

}  // namespace qad
