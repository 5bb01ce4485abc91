#include "qad/layouts/read_export.h"

#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "data/files/mapped_file.h"
#include "data/files/safetensors.h"
#include "models/families/generation_config.h"
#include "models/families/hf_config.h"
#include "models/families/registry.h"
#include "qad/layouts/gguf.h"
#include "qad/layouts/layout_files.h"
#include "qad/layouts/registry.h"
#include "qad/quant/packed_tensor.h"
#include "qad/quant/quantizer.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

std::map<std::string, std::string> read_texts(const fs::path& folder) {
  std::map<std::string, std::string> texts;
  texts["config.json"] = read_file(folder / "config.json", "a model's config.json");
  if (const fs::path file = folder / "hf_quant_config.json"; fs::exists(file))
    texts["hf_quant_config.json"] = read_file(file, "what is quantized how");
  return texts;
}

// What the exporters say, with the folder's name before it.
template <class Function>
auto in_folder(const fs::path& folder, Function&& function) {
  try {
    return function();
  } catch (const Error& error) {
    throw Error({.who = folder.string(), .got = error.what()}, error.code());
  }
}

// What was read of a file for good need not stay in memory.
void forget(const Tensor& tensor) { forget_pages({tensor.raw(), tensor.bytes()}); }

std::shared_ptr<const Operand> kept_as_codes(const ExportLinear& linear) {
  const QuantizedTensor& weight = *linear.weight;
  if (!can_be_interleaved(*weight.format)) return std::make_shared<const PackedTensor>(weight);
  auto kept = std::make_shared<const InterleavedTensor>(weight);
  forget(weight.codes);
  forget(weight.scales);
  return kept;
}

void fill_input_slots(LanguageModel& model, const ExportModel& exported) {
  std::map<std::string, const InputScale*> inputs;
  for (const ExportLinear& linear : exported.linears)
    if (linear.input) inputs[linear.name] = &*linear.input;
  for (LinearGroup* group : model.linear_groups()) {
    const auto input_of = [&](const Linear& member) {
      const auto found = inputs.find(member.name);
      return found == inputs.end() ? nullptr : found->second;
    };
    const InputScale* const first = input_of(group->members.front());
    for (const Linear& member : group->members) {
      const InputScale* const input = input_of(member);
      if ((input == nullptr) != (first == nullptr) ||
          (input != nullptr && (input->format != first->format || input->tensor_scale != first->tensor_scale)))
        throw Error({.who = group->name,
                     .expected = "one input scale for all its layers",
                     .got = "another one at " + member.name});
    }
    if (first != nullptr)
      group->input_slot = frozen_quantizer(group->name + " (input)", *first->format, first->tensor_scale);
  }
}

void fill_cache_slots(LanguageModel& model, const ExportModel& exported) {
  if (exported.key_value_scales.empty()) return;
  QAD_ASSERT(exported.cache_format != nullptr);
  std::map<std::string, const KeyValueScale*> scales;
  for (const KeyValueScale& scale : exported.key_value_scales) scales[scale.attention] = &scale;
  for (SelfAttention* attention : model.attention_layers()) {
    const auto found = scales.find(attention->name);
    if (found == scales.end())
      throw Error({.who = attention->name, .expected = "scales of keys and values", .got = "none"});
    attention->key_slot = frozen_quantizer(attention->name + " (keys)", *exported.cache_format, found->second->key);
    attention->value_slot =
        frozen_quantizer(attention->name + " (values)", *exported.cache_format, found->second->value);
  }
}

void read_gguf(const fs::path& path, ExportFiles& files) {
  const auto file = std::make_shared<MappedFile>(path, "a GGUF file");
  GgufContents contents = parse_gguf(file->bytes(), path.string());
  files.metadata = std::move(contents.metadata);
  for (const GgufInfo& info : contents.tensors) {
    const bool blocks = info.type->values > 1;
    std::vector<std::int64_t> extents = info.shape;
    if (blocks) extents.back() = extents.back() / info.type->values * info.type->bytes;
    const std::string_view type = info.type->name;
    const DType dtype = blocks ? DType::u8 : type == "F32" ? DType::f32 : type == "BF16" ? DType::bf16 : DType::f16;
    const auto bytes = file->bytes().subspan(info.begin, info.bytes);
    files.tensors.push_back({info.name, std::string(type), Tensor::borrow(bytes, file, Shape(extents), dtype)});
  }
}

}  // namespace

ExportFiles read_export_files(const fs::path& folder) {
  if (!fs::is_directory(folder))
    throw Error({.who = folder.string(), .expected = "a model's folder", .got = "nothing of that kind"});
  ExportFiles files{{}, read_texts(folder), {}};
  if (fs::exists(folder / kGgufFile)) {
    read_gguf(folder / kGgufFile, files);
    return files;
  }
  const ModelConfig config = in_folder(folder, [&] { return parse_hf_config(plain_config(files), "config.json"); });
  files.passengers = passengers_of(folder, config);
  const SafetensorsFolder weights(folder);
  for (const std::string& name : weights.names())
    if (!is_passenger(name, config)) files.tensors.push_back({name, weights.info(name).dtype, weights.tensor(name)});
  return files;
}

ExportModel read_export(const fs::path& folder) {
  const ExportFiles files = read_export_files(folder);
  ExportModel model = in_folder(folder, [&] { return exporter_of(files).unpack(files); });
  model.passengers = files.passengers;
  if (fs::exists(folder / kGgufFile))
    for (const FileTensor& tensor : files.tensors)
      if (tensor.data.dtype() == DType::u8) forget(tensor.data);  // blocks, which were taken apart
  if (const fs::path file = folder / "generation_config.json"; fs::exists(file))
    model.generation_config_json = read_file(file, "a model's generation_config.json");
  return model;
}

bool is_packed_export(const fs::path& folder) {
  if (fs::exists(folder / kGgufFile)) return true;
  const ExportFiles files{{}, read_texts(folder), {}};
  return in_folder(folder, [&] { return exporter_of(files).stores_codes; });
}

std::unique_ptr<LanguageModel> make_exported_model(ExportModel exported) {
  std::map<std::string, ParameterPointer> weights;
  for (const NamedTensor& tensor : exported.dense)
    weights[tensor.name] = make_parameter(tensor.name, tensor.value, false);
  exported.dense.clear();
  for (ExportLinear& linear : exported.linears) {
    if (!linear.weight) continue;
    const std::string name = linear.name + ".weight";
    weights[name] = make_parameter(name, kept_as_codes(linear));
    linear.weight.reset();  // large models are not held twice
  }
  release_cached_storage();

  ModelConfig config = parse_hf_config(exported.config_json, "config.json");
  if (!exported.generation_config_json.empty())
    use_end_tokens(exported.generation_config_json, "generation_config.json", config);
  auto model = make_model(config, [&](const ParameterSpec& spec) {
    auto found = weights.find(spec.name);
    // A tied model may store its one matrix under the head's name only.
    if (found == weights.end() && config.tie_word_embeddings && spec.role == Role::embedding)
      found = weights.find("lm_head.weight");
    if (found == weights.end())
      throw Error({.who = spec.name, .expected = "a tensor of shape " + spec.shape.text(), .got = "none"});
    const ParameterPointer parameter = weights.extract(found).mapped();
    if (parameter->shape() != spec.shape)
      throw Error(
          {spec.name, "shape " + spec.shape.text(), parameter->shape().text(), "does config.json belong to it?"});
    parameter->name = spec.name;
    return parameter;
  });
  if (config.tie_word_embeddings) weights.erase("lm_head.weight");  // the same matrix once more
  if (!weights.empty())
    throw Error({.who = weights.begin()->first,
                 .expected = "only tensors of the model",
                 .got = "one that it has no place for",
                 .hint = "does config.json belong to it?"});
  fill_input_slots(*model, exported);
  fill_cache_slots(*model, exported);
  return model;
}

}  // namespace qad
