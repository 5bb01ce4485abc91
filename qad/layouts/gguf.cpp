#include "qad/layouts/gguf.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>

#include "autograd/base/error.h"
#include "models/families/generation_config.h"
#include "models/families/gguf_family.h"
#include "models/families/hf_config.h"
#include "models/families/registry.h"
#include "models/layers/rotary.h"
#include "qad/layouts/gguf_blocks.h"
#include "qad/layouts/gguf_tokenizer.h"
#include "qad/layouts/layout_files.h"

namespace qad {
namespace {

constexpr std::string_view kLayers = "model.layers.", kBlocks = "blk.";
constexpr const char* kRopeFactors = "rope_freqs.weight";
constexpr const char* kArchitecture = "general.architecture";
constexpr const char* kKeyScales = "qad.attention.key_scales";
constexpr const char* kValueScales = "qad.attention.value_scales";
constexpr std::uint32_t kMostlyMxfp4 = 38, kMostlyNvfp4 = 39;  // llama.cpp's general.file_type

// The model_type of every family with a place in GGUF: "llama, mistral or qwen2".
std::string families_in_gguf() {
  std::vector<std::string_view> names;
  for (const Family* family : families())
    if (family->gguf != nullptr) names.push_back(family->model_type);
  const std::string_view last = names.back();
  names.pop_back();
  return fmt::format("{} or {}", fmt::join(names, ", "), last);
}

Problem no_place(const std::string& key, const std::string& expected, const std::string& got) {
  return {"config.json: " + key, expected, got, "llama.cpp has no place for it"};
}

// Null: no place in GGUF.
const GgufFamily* find_gguf(const ModelConfig& config) { return family_of(config.model_type, "model").gguf; }
Problem no_family(const ModelConfig& config) { return no_place("model_type", families_in_gguf(), config.model_type); }
const GgufFamily& gguf_of(const ModelConfig& config) {
  if (const GgufFamily* const family = find_gguf(config)) return *family;
  throw Error(no_family(config));
}

struct Translated {
  std::string name;
  bool linear = false;
};

// A module's name in the other language; an Error for one that the architecture lacks.
Translated translate(const GgufFamily& family, const std::string& module, std::string_view GgufName::*from,
                     std::string_view GgufName::*to, std::string_view layers_from, std::string_view layers_to) {
  std::string_view rest = module;
  std::string prefix;
  if (rest.starts_with(layers_from)) {
    const std::size_t dot = std::min(rest.find('.', layers_from.size()), rest.size());
    prefix = std::string(layers_to).append(rest.substr(layers_from.size(), dot - layers_from.size())) + ".";
    rest.remove_prefix(std::min(dot + 1, rest.size()));
  }
  const std::span<const GgufName> names = prefix.empty() ? family.around : family.in_layer;
  const auto found = std::ranges::find(names, rest, from);
  if (found == names.end())
    throw Error({.who = module, .expected = "a layer of " + families_in_gguf(), .got = "another one"});
  return {prefix + std::string((*found).*to), found->linear};
}
Translated to_gguf(const GgufFamily& family, const std::string& module) {
  return translate(family, module, &GgufName::ours, &GgufName::theirs, kLayers, kBlocks);
}
Translated from_gguf(const GgufFamily& family, const std::string& module) {
  return translate(family, module, &GgufName::theirs, &GgufName::ours, kBlocks, kLayers);
}

// "a.b.weight" -> "a.b", "weight"
std::pair<std::string, std::string> split_kind(const std::string& tensor) {
  const std::size_t dot = std::min(tensor.rfind('.'), tensor.size());
  return {tensor.substr(0, dot), dot < tensor.size() ? tensor.substr(dot + 1) : ""};
}

bool turns_neighbours(const GgufFamily& family, const std::string& module) {
  return std::ranges::any_of(family.neighbours, [&](std::string_view name) { return module.ends_with(name); });
}
enum class Order { gguf, hub };
Tensor reordered(const Tensor& rows, const ModelConfig& config, Order order) {
  const std::int64_t head_size = config.head_size(), half = head_size / 2, count = rows.shape()[0];
  if (count % head_size != 0)
    throw Error({.who = "rows of q and k",
                 .expected = fmt::format("whole heads of {}", head_size),
                 .got = std::to_string(count),
                 .hint = "does config.json belong to it?"});
  const Tensor result(rows.shape(), rows.dtype());
  const std::size_t bytes = rows.bytes() / static_cast<std::size_t>(count);
  for (std::int64_t row = 0; row < count; ++row) {
    const std::int64_t head = row / head_size, in_head = row % head_size;
    const std::int64_t neighbour = head * head_size + in_head % half * 2 + in_head / half;
    const auto from = static_cast<std::size_t>(order == Order::gguf ? row : neighbour) * bytes;
    const auto to = static_cast<std::size_t>(order == Order::gguf ? neighbour : row) * bytes;
    std::memcpy(result.raw() + to, rows.raw() + from, bytes);
  }
  return result;
}

GgufMetadata sizes(const GgufFamily& family, const ModelConfig& config, bool nvfp4) {
  const std::string arch(family.architecture);
  GgufMetadata metadata = {{kArchitecture, arch},
                           {"general.type", std::string("model")},
                           {"general.name", config.model_type + " student"},
                           {"general.quantized_by", std::string("qad")},
                           {"general.quantization_version", 2u},
                           {"general.file_type", nvfp4 ? kMostlyNvfp4 : kMostlyMxfp4}};
  family.add_sizes(config, arch, metadata);
  return metadata;
}

// By how much each rotary frequency is stretched.
Tensor rope_factors(const ModelConfig& config) {
  const Tensor factors({config.head_size() / 2});
  ModelConfig plain = config;
  plain.rope_scaling.rope_type = RopeScalingKind::none;
  for (std::int64_t i = 0; i < factors.size(); ++i)
    factors.data()[i] = static_cast<float>(rotary_frequency(plain, i) / rotary_frequency(config, i));
  return factors;
}

void append_linear(const ExportLinear& linear, const GgufFamily& family, const ModelConfig& config,
                   std::vector<FileTensor>& tensors) {
  QuantizedTensor weight = *linear.weight;
  const std::string_view type = gguf_block_type(*weight.format);
  QAD_ASSERT(!type.empty() && weight.cols % gguf_type(type).values == 0);  // what has no place was refused
  if (turns_neighbours(family, linear.name)) {
    weight.codes = reordered(weight.codes, config, Order::gguf);
    weight.scales = reordered(weight.scales, config, Order::gguf);
  }
  const std::string name = to_gguf(family, linear.name).name;
  tensors.push_back({name + ".weight", std::string(type), pack_gguf_blocks(weight)});
  if (weight.format->has_tensor_scale) tensors.push_back(scalar_tensor(name + ".scale", {1}, weight.tensor_scale));
  if (linear.input) tensors.push_back(scalar_tensor(name + ".input_scale", {1}, linear.input->tensor_scale));
}

void append_plain(const ExportModel& model, const GgufFamily& family, const ModelConfig& config,
                  std::vector<FileTensor>& tensors) {
  for (const NamedTensor& tensor : model.dense) {
    const auto [module, kind] = split_kind(tensor.name);
    Tensor value = as_stored(tensor.value, model.dense_type);
    if (value.shape().rank() < 2) value = as_stored(value, DType::f32);
    if (turns_neighbours(family, module)) value = reordered(value, config, Order::gguf);
    tensors.push_back(float_tensor(to_gguf(family, module).name + "." + kind, value));
  }
}

// The order in which a forward reads: embedding, layers, last norm, head.
std::int64_t place_of(const std::string& tensor) {
  if (!tensor.starts_with(kBlocks)) return tensor.starts_with("output") ? INT64_MAX : -1;
  std::int64_t layer = 0;
  std::from_chars(tensor.data() + kBlocks.size(), tensor.data() + tensor.size(), layer);
  return layer;
}

void add_cache_scales(const ExportModel& model, const ModelConfig& config, GgufMetadata& metadata) {
  if (model.key_value_scales.empty()) return;
  QAD_ASSERT(std::ssize(model.key_value_scales) == config.num_hidden_layers);
  std::vector<float> keys, values;
  for (const KeyValueScale& scale : model.key_value_scales) {
    QAD_ASSERT(scale.attention == fmt::format("{}{}.self_attn", kLayers, keys.size()));
    keys.push_back(scale.key);
    values.push_back(scale.value);
  }
  metadata.emplace_back(kKeyScales, keys);
  metadata.emplace_back(kValueScales, values);
}

std::vector<KeyValueScale> cache_scales(const GgufMetadata& metadata) {
  const auto* const keys = find_metadata<std::vector<float>>(metadata, kKeyScales);
  const auto* const values = find_metadata<std::vector<float>>(metadata, kValueScales);
  std::vector<KeyValueScale> scales;
  if (keys == nullptr || values == nullptr || keys->size() != values->size()) return scales;
  for (std::size_t i = 0; i < keys->size(); ++i)
    scales.push_back({fmt::format("{}{}.self_attn", kLayers, i), (*keys)[i], (*values)[i]});
  return scales;
}

}  // namespace

bool holds_gguf(const LayerFormats& formats) {
  if (formats.weights == nullptr || gguf_block_type(*formats.weights).empty()) return false;
  return formats.inputs == nullptr || (formats.inputs == formats.weights && formats.weights->has_tensor_scale);
}

std::vector<Refusal> refuse_gguf(const ExportOutline& outline) {
  std::vector<Refusal> refusals;
  const GgufFamily* const family = find_gguf(outline.config);
  if (family != nullptr) {
    std::vector<GgufRefusal> keys;
    family->refuse(outline.config, keys);
    for (const auto& [key, expected, got] : keys) refusals.push_back({no_place(key, expected, got)});
  } else if (!outline.config.experts) {  // with experts no layout has a place for it: export_refusals says so
    refusals.push_back({no_family(outline.config)});
  }
  LayerRefusals of_layers = outline.layer_refusals();
  for (const OutlineLinear& linear : outline.linears) {
    if (!holds_gguf(linear.formats)) continue;
    const std::int64_t values = gguf_type(gguf_block_type(*linear.formats.weights)).values;
    if (linear.in_features % values != 0)
      of_layers.add(linear.name,
                    {"", fmt::format("an inner dimension that is a multiple of {}, the width of GGUF's blocks", values),
                     std::to_string(linear.in_features), "export in another layout"},
                    -1, true);
    const std::string without_scale = family != nullptr ? family->place_without_scale(linear.name, outline.config) : "";
    if (linear.formats.weights->has_tensor_scale && !without_scale.empty())
      of_layers.add(linear.name,
                    {"", without_scale + ", whose scale llama.cpp leaves out", "nvfp4", "export in another layout"}, -1,
                    true);
  }
  for (Refusal& refusal : of_layers.told()) refusals.push_back(std::move(refusal));
  return refusals;
}

void check_gguf_tokenizer(const Tokenizer& tokenizer, const ModelConfig& config) {
  static_cast<void>(gguf_tokenizer(&tokenizer, config));
}

ExportFiles pack_gguf(const ExportModel& model) {
  ModelConfig config = parse_hf_config(model.config_json, "config.json");
  check_holds("gguf", model, config);
  if (!model.generation_config_json.empty())
    use_end_tokens(model.generation_config_json, "generation_config.json", config);
  const GgufFamily& family = gguf_of(config);
  ExportFiles files;
  append_plain(model, family, config, files.tensors);
  for (const ExportLinear& linear : model.linears)
    if (linear.weight) append_linear(linear, family, config, files.tensors);
  if (config.rope_scaling.rope_type == RopeScalingKind::llama3)
    files.tensors.push_back(float_tensor(kRopeFactors, rope_factors(config)));
  std::ranges::stable_sort(files.tensors, {}, [](const FileTensor& tensor) { return place_of(tensor.name); });

  const bool nvfp4 = std::ranges::any_of(files.tensors, [](const FileTensor& t) { return t.dtype == "NVFP4"; });
  files.metadata = sizes(family, config, nvfp4);
  for (auto& pair : gguf_tokenizer(model.tokenizer.get(), config)) files.metadata.push_back(std::move(pair));
  add_cache_scales(model, config, files.metadata);
  files.texts["config.json"] = to_text(config_of(model, model.dense_type));
  return files;
}

ExportModel unpack_gguf(const ExportFiles& files) {
  ExportModel model;
  model.config_json = plain_config(files);
  const ModelConfig config = parse_hf_config(model.config_json, "config.json");
  const GgufFamily& family = gguf_of(config);
  if (const auto* name = find_metadata<std::string>(files.metadata, kArchitecture);
      name == nullptr || *name != family.architecture)
    throw Error({.who = kArchitecture,
                 .expected = std::string(family.architecture),
                 .got = name != nullptr ? *name : "none",
                 .hint = "does config.json belong to it?"});
  TensorTable tensors(files.tensors);
  for (const FileTensor& tensor : files.tensors) {
    if (tensor.data.dtype() != DType::u8) continue;
    const std::string stem = split_kind(tensor.name).first;
    ExportLinear linear{from_gguf(family, stem).name, "", {}, {}};
    const float scale = tensors.has(stem + ".scale") ? tensors.take_scale(stem + ".scale") : 1.0f;
    linear.weight = unpack_gguf_blocks(tensor.dtype, tensors.take(tensor.name, tensor.dtype).data, scale, tensor.name);
    if (turns_neighbours(family, linear.name)) {
      linear.weight->codes = reordered(linear.weight->codes, config, Order::hub);
      linear.weight->scales = reordered(linear.weight->scales, config, Order::hub);
    }
    if (tensors.has(stem + ".input_scale"))
      linear.input = {&block_format("nvfp4"), tensors.take_scale(stem + ".input_scale")};
    model.linears.push_back(std::move(linear));
  }
  for (NamedTensor& tensor : tensors.rest()) {
    if (tensor.name == kRopeFactors) continue;  // follows from config.json
    const auto [stem, kind] = split_kind(tensor.name);
    const Translated module = from_gguf(family, stem);
    if (turns_neighbours(family, module.name)) tensor.value = reordered(tensor.value, config, Order::hub);
    if (module.linear && kind == "weight") model.linears.push_back({module.name, "", {}, {}});
    model.dense.push_back({module.name + "." + kind, tensor.value});
  }
  if (!tensors.has("output.weight")) model.linears.push_back({"lm_head", "", {}, {}});
  for (KeyValueScale& scale : cache_scales(files.metadata)) add_cache_scale(model, std::move(scale));
  return model;
}

}  // namespace qad
