#include "qad/layouts/from_student.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/warn_once.h"
#include "data/files/json_file.h"
#include "models/families/hf_config.h"
#include "models/prune/pruned_sizes.h"
#include "qad/layouts/layout_files.h"

namespace qad {
namespace {

// LlamaForCausalLM -> LlamaModel, whose weights have other names and no head.
std::string base_model_class(const std::string& architecture) {
  return architecture.substr(0, architecture.find("ForCausalLM")) + "Model";
}

// The original's keys as they are, then those that today's readers want and it lacks. What says how positions are
// turned stands in both dialects, and the class is the one whose names and head the weights have.
std::string config_text(const ModelConfig& config, const std::filesystem::path& folder) {
  const std::string complete = to_hf_config(config, "bfloat16");
  if (folder.empty()) return complete;
  const std::filesystem::path file = folder / "config.json";
  OrderedJson json = parse_python_object(read_file(file, "a model's config.json"), file.string());
  const OrderedJson wanted = OrderedJson::parse(complete);
  for (const auto& [key, value] : wanted.items())
    if (!json.contains(key) || (key == "rope_scaling" && json[key].is_null())) json[key] = value;
  if (json["architectures"] == OrderedJson::array({base_model_class(wanted["architectures"][0])}))
    json["architectures"] = wanted["architectures"];
  return to_text(json);
}

// Of another size than the original, whose other keys may be of its sizes; the one that embeddings ask for is not.
std::string config_text_of_cut(const ModelConfig& config, const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  const OrderedJson original = parse_python_object(read_file(file, "a model's config.json"), file.string());
  OrderedJson json = OrderedJson::parse(config_text(config, {}));
  if (constexpr const char* kPad = "pad_token_id"; original.contains(kPad)) json[kPad] = original[kPad];
  return to_text(json);
}

InputScale input_scale_of(const ActivationQuantizer& quantizer) {
  QAD_ASSERT(!quantizer.scale().follows_data());
  if (quantizer.format().has_tensor_scale && quantizer.scale().amax() <= 0.0f)
    throw Error({.who = quantizer.name(),
                 .expected = "a scale that calibration found",
                 .got = "none: nothing but zeros came by",
                 .hint = "calibrate on more tokens, or exclude the layers that read it"});
  return {&quantizer.format(), quantizer.scale().value()};
}

// All but codes and scales.
ExportLinear named(const ExportParts::Layer& layer) {
  const Linear& member = *layer.member;
  return {member.name,        member.fused.empty() ? layer.group->name : member.fused, {}, {}, layer.group->name,
          member.weight->role};
}

}  // namespace

ExportParts export_parts_of(LanguageModel& student, const QuantizerSet& quantizers) {
  std::map<std::string, const LinearQuantizers*> by_layer;
  for (const LinearQuantizers& linear : quantizers.linears()) by_layer[linear.layer] = &linear;
  ExportParts parts;
  std::set<const Parameter*> packed;
  for (const LinearGroup* group : student.linear_groups())
    for (const Linear& member : group->members) {
      const auto found = by_layer.find(member.name);
      const LinearQuantizers* const attached = found != by_layer.end() ? found->second : nullptr;
      parts.layers.push_back({group, &member, attached});
      if (attached != nullptr && attached->weights) packed.insert(member.weight.get());
    }
  for (ParameterPointer& parameter : student.parameters())
    if (!packed.contains(parameter.get())) parts.dense.push_back(std::move(parameter));
  for (const CacheQuantizers& cache : quantizers.caches()) parts.caches.push_back(&cache);
  return parts;
}

ExportModel export_frame_of(const ModelConfig& config, const QuantizerSet& quantizers,
                            const std::filesystem::path& config_folder) {
  if (!quantizers.shares_groups())
    throw Error({.who = "share_groups",
                 .expected = "true for an export",
                 .got = "false",
                 .hint = "serving engines run fused layers under one scale"});
  ExportModel model;
  // What else the folder's config.json says is of a model of its sizes, and so is what only goes along.
  const bool is_cut = !config_folder.empty() && !same_sizes(config, read_hf_config(config_folder));
  model.config_json = is_cut ? config_text_of_cut(config, config_folder) : config_text(config, config_folder);
  if (const auto file = config_folder / "generation_config.json";
      !config_folder.empty() && std::filesystem::is_regular_file(file))
    model.generation_config_json = read_file(file, "a model's generation_config.json");
  if (!quantizers.caches().empty()) model.cache_format = &quantizers.caches().front().keys->format();
  if (config_folder.empty()) return model;
  model.passengers = passengers_of(config_folder, is_cut ? read_hf_config(config_folder) : config);
  if (is_cut && !model.passengers.empty()) {
    warn_once(
        fmt::format("{}: {} tensors that would go along, {} the first, stay behind: they are of a model of its sizes",
                    config_folder.string(), model.passengers.size(), model.passengers.front().name));
    model.passengers.clear();
  }
  return model;
}

ExportLinear export_linear_of(const ExportParts::Layer& layer) {
  ExportLinear linear = named(layer);
  if (layer.quantizers == nullptr) return linear;
  if (const auto& weights = layer.quantizers->weights) {
    QAD_ASSERT(!weights->scale().follows_data());
    const Parameter& weight = *layer.member->weight;
    linear.weight = weights->codes(weight.value(), weight.version());
  }
  if (layer.quantizers->inputs) linear.input = input_scale_of(*layer.quantizers->inputs);
  return linear;
}

KeyValueScale export_scales_of(const CacheQuantizers& cache) {
  return {cache.attention, input_scale_of(*cache.keys).tensor_scale, input_scale_of(*cache.values).tensor_scale};
}

ExportLinear outline_linear_of(const ExportParts::Layer& layer) {
  ExportLinear linear = named(layer);
  if (layer.quantizers == nullptr) return linear;
  const Shape shape = layer.member->weight->shape();
  const auto some_scale = [](const Quantizer& one) {
    return one.scale().round() == TensorScaleRound::pow2 || !one.format().has_tensor_scale ? 1.0f : 1.0f / 3.0f;
  };
  if (const auto& weights = layer.quantizers->weights)
    linear.weight = QuantizedTensor::allocate(weights->format(), shape.rows(), shape.cols(), some_scale(*weights));
  if (const auto& inputs = layer.quantizers->inputs) linear.input = {&inputs->format(), some_scale(*inputs)};
  return linear;
}

KeyValueScale outline_scales_of(const CacheQuantizers& cache) {
  const bool pow2 = cache.keys->scale().round() == TensorScaleRound::pow2;
  return {cache.attention, pow2 ? 1.0f : 1.0f / 3.0f, pow2 ? 1.0f : 1.0f / 3.0f};
}

ExportModel export_model_of(LanguageModel& student, const QuantizerSet& quantizers,
                            const std::filesystem::path& config_folder) {
  ExportModel model = export_frame_of(student.config(), quantizers, config_folder);
  const ExportParts parts = export_parts_of(student, quantizers);
  for (const ExportParts::Layer& layer : parts.layers) model.linears.push_back(export_linear_of(layer));
  for (const ParameterPointer& parameter : parts.dense)
    model.dense.push_back({parameter->name, parameter->value(), parameter->role});
  for (const CacheQuantizers* cache : parts.caches) model.key_value_scales.push_back(export_scales_of(*cache));
  return model;
}

}  // namespace qad
