#include "qad/layouts/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "models/families/generation_config.h"
#include "models/families/gguf_family.h"
#include "models/families/hf_config.h"
#include "models/families/registry.h"
#include "models/layers/rotary.h"
#include "qad/layouts/gguf_blocks.h"
#include "qad/layouts/gguf_forms.h"
#include "qad/layouts/gguf_names.h"
#include "qad/layouts/gguf_splits.h"
#include "qad/layouts/gguf_tokenizer.h"
#include "qad/layouts/layout_files.h"

namespace qad {
namespace {

constexpr const char* kRopeFactors = "rope_freqs.weight";
constexpr const char* kArchitecture = "general.architecture";
constexpr const char* kKeyScales = "qad.attention.key_scales";
constexpr const char* kValueScales = "qad.attention.value_scales";
constexpr const char* kOriginal = "qad.original.";
constexpr std::uint32_t kMostlyMxfp4 = 38, kMostlyNvfp4 = 39;  // llama.cpp's general.file_type

Problem no_place(const std::string& key, const std::string& expected, const std::string& got) {
  return {"config.json: " + key, expected, got, "llama.cpp has no place for it"};
}

// Null: no place in GGUF.
const GgufFamily* find_gguf(const ModelConfig& config) { return family_of(config.model_type, "model").gguf; }
Problem no_family(const ModelConfig& config) {
  const std::string_view why = family_of(config.model_type, "model").no_gguf;
  return {"config.json: model_type", families_in_gguf(), config.model_type,
          fmt::format("{}; export in another layout", why.empty() ? "qad has no names of it there" : why)};
}
const GgufFamily& gguf_of(const ModelConfig& config) {
  if (const GgufFamily* const family = find_gguf(config)) return *family;
  throw Error(no_family(config));
}

// Matrices of one shape as [count, rows, columns].
Tensor stacked(const std::vector<Tensor>& matrices) {
  const Tensor& first = matrices.front();
  const Tensor all({std::ssize(matrices), first.rows(), first.cols()}, first.dtype());
  for (const Tensor& one : matrices) QAD_ASSERT(one.shape() == first.shape() && one.dtype() == first.dtype());
  parallel_for(std::ssize(matrices), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      std::memcpy(all.raw() + i * first.bytes(), matrices[i].raw(), first.bytes());
  });
  return all;
}
// The matrices of a module with the names that it has at the hub, one or those of all experts.
std::vector<std::pair<std::string, Tensor>> unstacked(const GgufModule& module, const Tensor& tensor) {
  if (!is_stack(module.name)) return {{module.name, tensor}};
  if (tensor.shape().rank() != 3)
    throw Error({.who = module.name, .expected = "a matrix for each expert", .got = tensor.shape().text()});
  std::vector<std::pair<std::string, Tensor>> matrices;
  for (std::int64_t e = 0; e < tensor.shape()[0]; ++e)
    matrices.emplace_back(with_expert(module.name, e),
                          tensor.slice(e, e + 1).reshape({tensor.shape()[1], tensor.shape()[2]}));
  return matrices;
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
  parallel_for(count, 256, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t head = row / head_size, in_head = row % head_size;
      const std::int64_t neighbour = head * head_size + in_head % half * 2 + in_head / half;
      const auto from = static_cast<std::size_t>(order == Order::gguf ? row : neighbour) * bytes;
      const auto to = static_cast<std::size_t>(order == Order::gguf ? neighbour : row) * bytes;
      std::memcpy(result.raw() + to, rows.raw() + from, bytes);
    }
  });
  return result;
}

GgufMetadata sizes(const GgufFamily& family, const ModelConfig& config, bool nvfp4) {
  const std::string arch(family.architecture_of(config));
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

// A quantized layer, or all experts of a layer in their order, which are one tensor.
struct PackedStack {
  std::string name;  // GGUF's
  bool experts = false;
  std::vector<const ExportLinear*> members;
  std::int64_t next = 0;  // expert
};
std::vector<PackedStack> packed_stacks(const ExportModel& model, const GgufFamily& family) {
  std::vector<PackedStack> stacks;
  std::map<std::string, std::size_t> places;
  for (const ExportLinear& linear : model.linears) {
    if (!linear.weight) continue;
    const GgufModule module = to_gguf(family, linear.name);
    const auto [place, is_new] = places.try_emplace(module.name, stacks.size());
    if (is_new) stacks.push_back({module.name, module.expert >= 0, {}});
    PackedStack& stack = stacks[place->second];
    QAD_ASSERT(is_new || module.expert == stack.next);  // of a part of a model the first needn't be there
    stack.next = module.expert + 1;
    stack.members.push_back(&linear);
  }
  return stacks;
}

Tensor blocks_of(const ExportLinear& linear, const GgufFamily& family, const ModelConfig& config) {
  QuantizedTensor weight = *linear.weight;
  if (turns_neighbours(family, linear.name)) {
    weight.codes = reordered(weight.codes, config, Order::gguf);
    weight.scales = reordered(weight.scales, config, Order::gguf);
  }
  return pack_gguf_blocks(weight);
}

void append_packed(const PackedStack& stack, const GgufFamily& family, const ModelConfig& config,
                   std::vector<FileTensor>& tensors) {
  const ExportLinear& first = *stack.members.front();
  const std::string_view type = gguf_block_type(*first.weight->format);
  QAD_ASSERT(!type.empty() && first.weight->cols % gguf_type(type).values == 0);  // what has no place was refused
  std::vector<Tensor> blocks;
  std::vector<float> scales, input_scales;
  for (const ExportLinear* linear : stack.members) {
    QAD_ASSERT(formats_of(*linear) == formats_of(first));
    blocks.push_back(blocks_of(*linear, family, config));
    scales.push_back(linear->weight->tensor_scale);
    if (linear->input) input_scales.push_back(linear->input->tensor_scale);
  }
  tensors.push_back({stack.name + ".weight", std::string(type), stack.experts ? stacked(blocks) : blocks.front()});
  const auto append = [&](const char* suffix, const std::vector<float>& values) {
    tensors.push_back(float_tensor(stack.name + suffix, Tensor::from(values, {std::ssize(values)})));
  };
  if (first.weight->format->has_tensor_scale) append(".scale", scales);
  if (first.input) append(".input_scale", input_scales);
}

// What the inverse of a form does not give back bit for bit stands in the metadata too.
void append_in_form(const std::string& name, const GgufTensor& form, const Tensor& value, const ModelConfig& config,
                    ExportFiles& files) {
  files.tensors.push_back(float_tensor(name, in_gguf_form(value, form, config)));
  const Tensor again = in_hub_form(files.tensors.back().data, form);
  const auto numbers = value.span(), others = again.span();
  // Another machine's exponential may round otherwise.
  if (form.numbers == GgufNumbers::negative_exponential || !std::ranges::equal(numbers, others))
    files.metadata.emplace_back(kOriginal + name, std::vector<float>(numbers.begin(), numbers.end()));
}
Tensor out_of_form(const NamedTensor& tensor, const GgufTensor& form, const GgufMetadata& metadata) {
  const Tensor value = in_hub_form(tensor.value, form);
  const auto* const original = find_metadata<std::vector<float>>(metadata, kOriginal + tensor.name);
  if (original == nullptr) return value;
  const auto belongs = [](float x, float y) { return std::abs(x - y) <= 1e-5f * (1.0f + std::abs(x)); };
  if (!std::ranges::equal(*original, value.span(), belongs))
    throw Error({.who = kOriginal + tensor.name,
                 .expected = "the numbers that " + tensor.name + " was made of",
                 .got = "others",
                 .hint = "is the file damaged?"});
  return Tensor::from(*original, value.shape());
}

void append_plain(const ExportModel& model, const GgufFamily& family, const ModelConfig& config, ExportFiles& files) {
  std::map<std::string, std::vector<Tensor>> of_experts;
  for (const NamedTensor& tensor : model.dense) {
    Tensor value = as_stored(tensor.value, kept_type(tensor.role, model.dense_type));
    if (const auto [name, form] = to_gguf_tensor(family, tensor.name); form != nullptr) {
      append_in_form(name, *form, as_f32(value), config, files);
      continue;
    }
    const auto [name, kind] = split_kind(tensor.name);
    const GgufModule module = to_gguf(family, name);
    if (value.shape().rank() < 2 || module.wide) value = as_f32(value);
    if (turns_neighbours(family, name)) value = reordered(value, config, Order::gguf);
    const std::string there = module.name + "." + kind;
    if (module.expert < 0) files.tensors.push_back(float_tensor(there, value));
    else of_experts[there].push_back(value);
  }
  for (const auto& [name, values] : of_experts) files.tensors.push_back(float_tensor(name, stacked(values)));
}

// The order in which a forward reads: embedding, layers, last norm, head.
std::int64_t place_of(const std::string& tensor) {
  if (!tensor.starts_with(kGgufBlocks)) return tensor.starts_with("output") ? INT64_MAX : -1;
  std::int64_t layer = 0;
  std::from_chars(tensor.data() + kGgufBlocks.size(), tensor.data() + tensor.size(), layer);
  return layer;
}

std::string attention_of(const GgufFamily& family, std::size_t layer) {
  return fmt::format("{}{}.{}", family.layers, layer, family.attention);
}

// One a layer, 0 where it has none.
void add_cache_scales(const ExportModel& model, const GgufFamily& family, const ModelConfig& config,
                      GgufMetadata& metadata) {
  if (model.key_value_scales.empty()) return;
  std::vector<float> keys, values;
  for (auto next = model.key_value_scales.begin(); std::ssize(keys) < config.num_hidden_layers;) {
    const bool has = next != model.key_value_scales.end() && next->attention == attention_of(family, keys.size());
    keys.push_back(has ? next->key : 0.0f);
    values.push_back(has ? next->value : 0.0f);
    if (has) ++next;
  }
  QAD_ASSERT(keys.size() - static_cast<std::size_t>(std::ranges::count(keys, 0.0f)) == model.key_value_scales.size());
  metadata.emplace_back(kKeyScales, keys);
  metadata.emplace_back(kValueScales, values);
}

std::vector<KeyValueScale> cache_scales(const GgufFamily& family, const GgufMetadata& metadata) {
  const auto* const keys = find_metadata<std::vector<float>>(metadata, kKeyScales);
  const auto* const values = find_metadata<std::vector<float>>(metadata, kValueScales);
  std::vector<KeyValueScale> scales;
  if (keys == nullptr || values == nullptr || keys->size() != values->size()) return scales;
  for (std::size_t i = 0; i < keys->size(); ++i)
    if ((*keys)[i] != 0.0f) scales.push_back({attention_of(family, i), (*keys)[i], (*values)[i]});
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
  } else {
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
    if (family != nullptr && is_transposed(*family, linear.name))
      of_layers.add(linear.name,
                    {"", "this layer as it is, since GGUF has a part of it transposed",
                     std::string(linear.formats.weights->name), "export in another layout"},
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

void pack_gguf_tensors(const ExportModel& of_student, ExportFiles& files) {
  const ModelConfig config = parse_hf_config(of_student.config_json, "config.json");
  const GgufFamily& family = gguf_of(config);
  const ExportModel model = with_splits(of_student, family, config);
  append_plain(model, family, config, files);
  for (const PackedStack& stack : packed_stacks(model, family)) append_packed(stack, family, config, files.tensors);
  if (config.rope_scaling.rope_type == RopeScalingKind::llama3)
    files.tensors.push_back(float_tensor(kRopeFactors, rope_factors(config)));
  std::ranges::stable_sort(files.tensors, {}, [](const FileTensor& tensor) { return place_of(tensor.name); });
}

void pack_gguf_texts(const ExportModel& model, ExportFiles& files) {
  ModelConfig config = parse_hf_config(model.config_json, "config.json");
  if (!model.generation_config_json.empty())
    use_end_tokens(model.generation_config_json, "generation_config.json", config);
  const GgufFamily& family = gguf_of(config);
  const bool nvfp4 = std::ranges::any_of(files.tensors, [](const FileTensor& t) { return t.dtype == "NVFP4"; });
  GgufMetadata originals = std::exchange(files.metadata, sizes(family, config, nvfp4));
  for (auto& pair : gguf_tokenizer(model.tokenizer.get(), config)) files.metadata.push_back(std::move(pair));
  add_cache_scales(model, family, config, files.metadata);
  std::ranges::move(originals, std::back_inserter(files.metadata));
  files.texts["config.json"] = to_text(config_of(model, model.dense_type));
}

ExportModel unpack_gguf(const ExportFiles& files) {
  ExportModel model;
  model.config_json = plain_config(files);
  const ModelConfig config = parse_hf_config(model.config_json, "config.json");
  const GgufFamily& family = gguf_of(config);
  if (const auto* name = find_metadata<std::string>(files.metadata, kArchitecture);
      name == nullptr || *name != family.architecture_of(config))
    throw Error({.who = kArchitecture,
                 .expected = std::string(family.architecture_of(config)),
                 .got = name != nullptr ? *name : "none",
                 .hint = "does config.json belong to it?"});
  TensorTable tensors(files.tensors);
  for (const FileTensor& tensor : files.tensors) {
    if (tensor.data.dtype() != DType::u8) continue;
    const std::string stem = split_kind(tensor.name).first;
    const auto layers = unstacked(from_gguf(family, stem), tensors.take(tensor.name, tensor.dtype).data);
    const auto numbers = [&](const char* suffix) {
      return tensors.has(stem + suffix) ? tensors.take_scales(stem + suffix, std::ssize(layers)) : std::vector<float>();
    };
    const std::vector<float> scales = numbers(".scale"), input_scales = numbers(".input_scale");
    for (std::size_t i = 0; i < layers.size(); ++i) {
      ExportLinear linear{layers[i].first, "", {}, {}};
      linear.weight =
          unpack_gguf_blocks(tensor.dtype, layers[i].second, scales.empty() ? 1.0f : scales[i], tensor.name);
      if (turns_neighbours(family, linear.name)) {
        linear.weight->codes = reordered(linear.weight->codes, config, Order::hub);
        linear.weight->scales = reordered(linear.weight->scales, config, Order::hub);
      }
      if (!input_scales.empty()) linear.input = {&block_format("nvfp4"), input_scales[i]};
      model.linears.push_back(std::move(linear));
    }
  }
  for (const NamedTensor& tensor : tensors.rest()) {
    if (tensor.name == kRopeFactors) continue;  // follows from config.json
    if (const auto [name, form] = from_gguf_tensor(family, tensor.name); form != nullptr) {
      model.dense.push_back({name, out_of_form(tensor, *form, files.metadata)});
      if (form->convolution) model.linears.push_back({split_kind(name).first, "", {}, {}});
      continue;
    }
    const auto [stem, kind] = split_kind(tensor.name);
    const GgufModule module = from_gguf(family, stem);
    for (auto& [name, value] : unstacked(module, tensor.value)) {
      if (turns_neighbours(family, name)) value = reordered(value, config, Order::hub);
      if (module.linear && kind == "weight") model.linears.push_back({name, "", {}, {}});
      model.dense.push_back({name + "." + kind, value});
    }
  }
  if (!tensors.has("output.weight")) model.linears.push_back({"lm_head", "", {}, {}});
  for (KeyValueScale& scale : cache_scales(family, files.metadata)) add_cache_scale(model, std::move(scale));
  join_splits(model, family, config);
  return model;
}

}  // namespace qad
