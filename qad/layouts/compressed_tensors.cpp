#include "qad/layouts/compressed_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "autograd/base/error.h"
#include "data/tokenizer/regex.h"
#include "qad/layouts/export_refusals.h"
#include "qad/layouts/packed_words.h"
#include "qad/layouts/stored_layer.h"

namespace qad {
namespace {

constexpr const char* kTheirVersion = "0.18.0";  // of the compressed-tensors whose layout this is
constexpr const char* kMixedFormat = "mixed-precision";

constexpr auto kNvfp4Packed = std::to_array<StoredPart>({{".weight_packed", "U8", &kCodes},
                                                         {".weight_scale", "F8_E4M3", &kBlockScales},
                                                         {".weight_global_scale", "", &kScaleDivisor},
                                                         {".input_global_scale", "", &kInputScaleDivisor}});
constexpr auto kMxfp4Parts =
    std::to_array<StoredPart>({{".weight_packed", "U8", &kCodes}, {".weight_scale", "U8", &kBlockScales}});
constexpr auto kFp8Packed = std::to_array<StoredPart>(
    {{".weight", "F8_E4M3", &kCodes}, {".weight_scale", "", &kScaleOfOne}, {".input_scale", "", &kInputScaleOfOne}});
constexpr auto kFp8ChannelParts =
    std::to_array<StoredPart>({{".weight", "F8_E4M3", &kCodes}, {".weight_scale", "", &kBlockScales}});
constexpr auto kIntParts = std::to_array<StoredPart>({{".weight_shape", "I64", &kWeightShape},
                                                      {".weight_packed", "I32", &kPackedWords},
                                                      {".weight_scale", "", &kBlockScales}});

// When the scales of inputs are found.
enum class Dynamic { no, local, yes };  // local: those of blocks alone

struct OperandFormat {
  const char* type = nullptr;  // null: stays as it is
  int bits = 0;
  const char* strategy = nullptr;
  int group_size = 0;                 // 0: none
  const char* scale_dtype = nullptr;  // of block scales
  Dynamic dynamic = Dynamic::no;
};
constexpr OperandFormat kAsItIs{};
constexpr OperandFormat kNvfp4Operand{"float", 4, "tensor_group", 16, "torch.float8_e4m3fn", Dynamic::local};
constexpr OperandFormat kMxfp4Operand{"float", 4, "group", 32, "torch.uint8", Dynamic::yes};
constexpr OperandFormat kFp8Operand{"float", 8, "tensor"};
constexpr OperandFormat kFp8Rows{"float", 8, "channel"};
constexpr OperandFormat kFp8Tokens{"float", 8, "token", 0, nullptr, Dynamic::yes};
constexpr OperandFormat kInt4Groups{"int", 4, "group", 128};
constexpr OperandFormat kInt8Rows{"int", 8, "channel"};

// How the layout tells of a kind of layer.
struct Packing {
  StoredLayer stored;
  const char* name;
  OperandFormat weights, inputs;

  [[nodiscard]] bool quantizes_inputs() const { return inputs.type != nullptr; }
  // Floats of four bits, which compressed-tensors decodes to BF16 whatever the model's type is.
  [[nodiscard]] bool is_decoded_to_bf16() const {
    return weights.bits == 4 && std::string_view(weights.type) == "float";
  }
};
// In this order the kinds of a mixture are told: those with quantized inputs come first.
constexpr auto kPackings = std::to_array<Packing>({
    {{"nvfp4", "nvfp4", kNvfp4Packed}, "nvfp4-pack-quantized", kNvfp4Operand, kNvfp4Operand},
    {{"mxfp4", "mxfp4", kMxfp4Parts}, "mxfp4-pack-quantized", kMxfp4Operand, kMxfp4Operand},
    {{"fp8", "fp8", kFp8Packed}, "float-quantized", kFp8Operand, kFp8Operand},
    {{"fp8_channel", "fp8_channel", kFp8ChannelParts}, "float-quantized", kFp8Rows, kFp8Tokens},
    {{"nvfp4", "none", std::span(kNvfp4Packed).first(3)}, "nvfp4-pack-quantized", kNvfp4Operand, kAsItIs},
    {{"mxfp4", "none", kMxfp4Parts}, "mxfp4-pack-quantized", kMxfp4Operand, kAsItIs},
    {{"fp8", "none", std::span(kFp8Packed).first(2)}, "naive-quantized", kFp8Operand, kAsItIs},
    {{"fp8_channel", "none", kFp8ChannelParts}, "naive-quantized", kFp8Rows, kAsItIs},
    {{"int8", "none", kIntParts}, "pack-quantized", kInt8Rows, kAsItIs},
    {{"int4_g128", "none", kIntParts}, "pack-quantized", kInt4Groups, kAsItIs},
});

const Packing& packing_of(const ExportLinear& linear) {
  const Packing* const row = find_row(std::span<const Packing>(kPackings), formats_of(linear));
  QAD_ASSERT(row != nullptr);  // a layer without a place was refused
  return *row;
}

// Without scale_dtype, compressed-tensors leaves the scales of inputs unrounded where it emulates W4A4 (seen in 0.20).
// Readers before its 0.13 do not know the key.
OrderedJson operand_json(const OperandFormat& operand, bool input) {
  const auto or_null = [](const auto& value) { return value ? OrderedJson(value) : OrderedJson(nullptr); };
  OrderedJson json;
  json["num_bits"] = operand.bits;
  json["type"] = operand.type;
  json["symmetric"] = true;
  json["strategy"] = operand.strategy;
  json["group_size"] = or_null(operand.group_size);
  json["dynamic"] = false;
  if (input && operand.dynamic == Dynamic::local) json["dynamic"] = "local";
  if (input && operand.dynamic == Dynamic::yes) json["dynamic"] = true;
  json["actorder"] = nullptr;
  json["block_structure"] = nullptr;
  json["scale_dtype"] = or_null(operand.scale_dtype);
  json["observer"] = input ? "static_minmax" : "memoryless_minmax";
  if (json["dynamic"] == true) json["observer"] = nullptr;
  json["observer_kwargs"] = OrderedJson::object();
  return json;
}

OrderedJson config_group(const Packing& packing, const OrderedJson& targets) {
  OrderedJson group;
  group["targets"] = targets;
  group["format"] = packing.name;
  group["weights"] = operand_json(packing.weights, false);
  group["input_activations"] = packing.quantizes_inputs() ? operand_json(packing.inputs, true) : OrderedJson(nullptr);
  group["output_activations"] = nullptr;
  return group;
}

OrderedJson compressed_tensors_config(const ExportModel& model) {
  std::vector<OrderedJson> kinds;  // a group of layers each
  std::set<std::string> formats;
  for (const Packing& packing : kPackings) {
    OrderedJson targets = OrderedJson::array();
    for (const ExportLinear& linear : model.linears)
      if (linear.weight && &packing_of(linear) == &packing) targets.push_back(linear.name);
    if (targets.empty()) continue;
    kinds.push_back(config_group(packing, targets));
    formats.insert(packing.name);
  }
  if (kinds.size() == 1) kinds.front()["targets"] = OrderedJson::array({"Linear"});
  OrderedJson groups;
  for (std::size_t i = 0; i < kinds.size(); ++i) groups["group_" + std::to_string(i)] = kinds[i];

  OrderedJson json;
  json["config_groups"] = groups;
  json["format"] = formats.size() > 1 ? kMixedFormat : formats.begin()->c_str();
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
  json["version"] = kTheirVersion;
  return json;
}

// Whether a target of a group (a name, `re:` and an expression for the start of one, or the class) means this layer.
bool means(const OrderedJson& target, const std::string& layer) {
  if (!target.is_string()) return false;
  const auto text = target.get<std::string>();
  if (!text.starts_with("re:")) return text == "Linear" || text == layer;
  const auto found = Regex(text.substr(3), "config.json: config_groups").find(layer, 0);
  return found && found->begin == 0;
}

// A value of the type of `fallback`, which stands for any other.
template <class T>
T value_at(const OrderedJson& json, const char* key, const T& fallback) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  if (found == json.end()) return fallback;
  const bool fits = std::is_same_v<T, std::string> ? found->is_string()
                    : std::is_same_v<T, bool>      ? found->is_boolean()
                    : std::is_same_v<T, int>       ? found->is_number_integer()
                                                   : true;
  return fits ? found->get<T>() : fallback;
}

// What a config says of weights or of inputs.
struct Said {
  bool is_quantized, symmetric, dynamic;
  std::string type, strategy;
  int bits, group_size;

  explicit Said(const OrderedJson& json)
      : is_quantized(json.is_object()),
        symmetric(value_at(json, "symmetric", true)),
        dynamic(value_at(json, "dynamic", false)),
        type(value_at<std::string>(json, "type", "int")),
        bits(value_at(json, "num_bits", 8)),
        group_size(value_at(json, "group_size", 0)) {
    const char* const implied = group_size > 0 ? "group" : group_size < 0 ? "channel" : "tensor";
    strategy = value_at<std::string>(json, "strategy", implied);
  }

  [[nodiscard]] bool is(const OperandFormat& operand, bool input) const {
    if (!is_quantized || operand.type == nullptr) return is_quantized == (operand.type != nullptr);
    return bits == operand.bits && type == operand.type && symmetric && strategy == operand.strategy &&
           (operand.group_size == 0 || group_size == operand.group_size) &&
           (!input || dynamic == (operand.dynamic == Dynamic::yes));
  }

  [[nodiscard]] std::string text() const {
    if (!is_quantized) return "as they are";
    return fmt::format("{} of {} bits by {}{}{}", type, bits, strategy,
                       group_size > 0 ? fmt::format(" of {}", group_size) : "", symmetric ? "" : ", asymmetric");
  }
};

// How the config's groups say that a layer is stored.
const Packing& stored_packing(const OrderedJson& groups, const std::string& layer) {
  for (const OrderedJson& group : groups) {
    const OrderedJson targets = value_at(group, "targets", OrderedJson());
    if (std::ranges::none_of(targets, [&](const OrderedJson& one) { return means(one, layer); })) continue;
    const Said weights(value_at(group, "weights", OrderedJson()));
    const Said inputs(value_at(group, "input_activations", OrderedJson()));
    for (const Packing& row : kPackings)
      if (weights.is(row.weights, false) && inputs.is(row.inputs, true)) return row;
    throw Error({.who = "config.json: " + layer,
                 .expected = "weights and inputs in formats of qad",
                 .got = fmt::format("weights {}, inputs {}", weights.text(), inputs.text()),
                 .hint = "see qad recipes explain quantize.rules"});
  }
  throw Error(
      {.who = "config.json: " + layer, .expected = "a group of config_groups that it belongs to", .got = "none"});
}

}  // namespace

bool holds_compressed_tensors(const LayerFormats& formats) {
  return find_row(std::span<const Packing>(kPackings), formats) != nullptr;
}

std::vector<Refusal> refuse_compressed_tensors(const ExportOutline& outline) {
  LayerRefusals refusals = outline.layer_refusals();
  const bool bf16_alone = std::ranges::any_of(outline.linears, [](const OutlineLinear& linear) {
    const Packing* const row = find_row(std::span<const Packing>(kPackings), linear.formats);
    return row != nullptr && row->is_decoded_to_bf16();
  });
  for (const OutlineLinear& linear : outline.linears) {
    const Packing* const row = find_row(std::span<const Packing>(kPackings), linear.formats);
    if (row == nullptr) continue;
    if (bf16_alone && !linear.formats.weights->exact_in_bf16(1.0f))
      refusals.add(
          linear.name,
          {"", "weights that BF16 holds, beside layers in nvfp4 or mxfp4", std::string(linear.formats.weights->name),
           "compressed-tensors decodes those to BF16 alone; use formats of one kind, or export as "
           "dense"});
    const auto is_divisor = [](const StoredPart& part) { return part.code == &kScaleDivisor; };
    if (linear.pow2_scales || std::ranges::none_of(row->stored.parts, is_divisor)) continue;
    refusals.add(linear.name, {"", "a tensor scale that is a power of two", "one that is not",
                               "compressed-tensors stores its reciprocal; train with tensor_scale.round: pow2, or "
                               "export as modelopt"});
  }
  return refusals.told();
}

void pack_compressed_tensors_tensors(const ExportModel& model, ExportFiles& files) {
  append_dense(model, files.tensors);
  for (const ExportLinear& linear : model.linears)
    if (linear.weight) append_parts(packing_of(linear).stored, linear, files.tensors);
  for (const auto& [attention, key, value] : model.key_value_scales) {
    files.tensors.push_back(multiplier_tensor(attention + ".k_scale", key));
    files.tensors.push_back(multiplier_tensor(attention + ".v_scale", value));
  }
}

void pack_compressed_tensors_texts(const ExportModel& model, ExportFiles& files) {
  OrderedJson config = config_of(model, compute_type(model));
  config["quantization_config"] = compressed_tensors_config(model);
  files.texts["config.json"] = to_text(config);
}

ExportModel unpack_compressed_tensors(const ExportFiles& files) {
  TensorTable tensors(files.tensors);
  ExportModel model;
  model.config_json = plain_config(files);
  const OrderedJson config = parse_text(files, "config.json");
  const OrderedJson quantization = value_at(config, "quantization_config", OrderedJson());
  const OrderedJson groups = value_at(quantization, "config_groups", OrderedJson());
  for (const std::string& name : stored_layers(std::span<const Packing>(kPackings), tensors))
    model.linears.push_back(take_parts(stored_packing(groups, name).stored, name, tensors));
  for (const std::string& name : tensors.stems({".k_scale"}))
    add_cache_scale(model, {name, tensors.take_scale(name + ".k_scale"), tensors.take_scale(name + ".v_scale")});
  for (const std::string& name : names_at(config, {"quantization_config", "ignore"}))
    model.linears.push_back({name, "", {}, {}});
  model.dense = tensors.rest();
  return model;
}

}  // namespace qad
