#include "qad/layouts/from_student.h"

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "data/files/json_file.h"
#include "models/families/hf_config.h"
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
  OrderedJson json = parse_python_json(read_file(file, "a model's config.json"), file.string());
  if (!json.is_object()) throw Error({.who = file.string(), .expected = "a JSON object", .got = "something else"});
  const OrderedJson wanted = OrderedJson::parse(complete);
  for (const auto& [key, value] : wanted.items())
    if (!json.contains(key) || (key == "rope_scaling" && json[key].is_null())) json[key] = value;
  if (json["architectures"] == OrderedJson::array({base_model_class(wanted["architectures"][0])}))
    json["architectures"] = wanted["architectures"];
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

}  // namespace

ExportModel export_model_of(LanguageModel& student, const QuantizerSet& quantizers,
                            const std::filesystem::path& config_folder) {
  if (!quantizers.shares_groups())
    throw Error({.who = "share_groups",
                 .expected = "true for an export",
                 .got = "false",
                 .hint = "serving engines run fused layers under one scale"});
  ExportModel model;
  model.config_json = config_text(student.config(), config_folder);
  if (const auto file = config_folder / "generation_config.json";
      !config_folder.empty() && std::filesystem::is_regular_file(file))
    model.generation_config_json = read_file(file, "a model's generation_config.json");

  std::map<std::string, const LinearQuantizers*> by_layer;
  for (const LinearQuantizers& linear : quantizers.linears()) by_layer[linear.layer] = &linear;
  std::set<const Parameter*> packed;
  for (const LinearGroup* group : student.linear_groups())
    for (const Linear& member : group->members) {
      ExportLinear linear{member.name,        member.fused.empty() ? group->name : member.fused, {}, {}, group->name,
                          member.weight->role};
      if (const auto found = by_layer.find(member.name); found != by_layer.end()) {
        const LinearQuantizers& attached = *found->second;
        if (attached.weights) {
          QAD_ASSERT(!attached.weights->scale().follows_data());
          linear.weight = attached.weights->codes(member.weight->value(), member.weight->version());
          packed.insert(member.weight.get());
        }
        if (attached.inputs) linear.input = input_scale_of(*attached.inputs);
      }
      model.linears.push_back(std::move(linear));
    }
  for (const ParameterPointer& parameter : student.parameters())
    if (!packed.contains(parameter.get()))
      model.dense.push_back({parameter->name, parameter->value(), parameter->role});
  if (!quantizers.caches().empty()) model.cache_format = &quantizers.caches().front().keys->format();
  for (const CacheQuantizers& cache : quantizers.caches())
    model.key_value_scales.push_back(
        {cache.attention, input_scale_of(*cache.keys).tensor_scale, input_scale_of(*cache.values).tensor_scale});
  if (!config_folder.empty()) model.passengers = passengers_of(config_folder, student.config());
  return model;
}

}  // namespace qad
