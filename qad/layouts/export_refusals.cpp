#include "qad/layouts/export_refusals.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "qad/layouts/layout_files.h"
#include "qad/layouts/registry.h"

namespace qad {
namespace {

// "nvfp4", or "plain".
std::string_view said(const BlockFormat* format) { return format != nullptr ? format->name : "plain"; }

// Every pair of formats for which the layout has a place: "nvfp4 weights with nvfp4 or plain inputs, fp8 weights …".
std::string held_formats(const Exporter& exporter) {
  std::vector<std::string> kinds;
  for (const BlockFormat& weights : block_formats()) {
    std::vector<std::string_view> inputs;
    for (const BlockFormat& input : block_formats())
      if (exporter.holds({&weights, &input})) inputs.push_back(input.name);
    if (exporter.holds({&weights, nullptr})) inputs.push_back(said(nullptr));
    if (!inputs.empty())
      kinds.push_back(fmt::format("{} weights with {} inputs", weights.name, fmt::join(inputs, " or ")));
  }
  return fmt::format("{}", fmt::join(kinds, ", "));
}

// "a, b or c"
std::string in_words(std::vector<std::string_view> names) {
  const std::string_view last = names.back();
  names.pop_back();
  return names.empty() ? std::string(last) : fmt::format("{} or {}", fmt::join(names, ", "), last);
}

// Layouts that have a place for these formats: dense, at least, holds any.
std::string others_that_hold(const LayerFormats& formats) {
  std::vector<std::string_view> names;
  for (const Exporter& other : exporters())
    if (other.holds(formats)) names.push_back(other.name);
  return in_words(std::move(names));
}

Refusal cache_refusal(const Exporter& exporter, const BlockFormat& format, std::span<const OutlineLinear> linears) {
  const auto holds_all = [&](const Exporter& other) {
    return std::ranges::all_of(linears, [&](const OutlineLinear& linear) {
      return linear.formats.weights == nullptr || other.holds(linear.formats);
    });
  };
  std::vector<std::string_view> others;
  for (const Exporter& other : exporters())
    if ((!other.stores_codes || other.cache_format == format.name) && holds_all(other)) others.push_back(other.name);
  const std::string held(exporter.cache_format);
  return {
      {"keys and values", held.empty() ? "none that are quantized" : held + " or none that are quantized",
       std::string(format.name),
       fmt::format("{} has no place for their scales; {}, or export as {}", exporter.name,
                   held.empty() ? "leave kv_cache at none" : "set kv_cache to " + held, in_words(std::move(others)))}};
}

}  // namespace

LayerRefusals ExportOutline::layer_refusals() const {
  std::vector<std::string> names;
  for (const OutlineLinear& linear : linears) names.push_back(linear.name);
  return LayerRefusals(std::move(names));
}

ExportOutline outline_of(const ModelConfig& config, std::span<const LinearShape> layers,
                         const QuantizeConfig& quantize) {
  const Policy policy(quantize);
  ExportOutline outline{config, {}, policy.cache().formats.inputs};
  for (const LinearShape& layer : layers) {
    const LayerOptions options = policy.options(layer);
    outline.linears.push_back(
        {layer.name, layer.in_features, options.formats, options.tensor_scale.round == TensorScaleRound::pow2});
  }
  return outline;
}

ExportOutline outline_of(const ExportModel& model, const ModelConfig& config) {
  ExportOutline outline{config, {}, model.cache_format};
  for (const ExportLinear& linear : model.linears) {
    OutlineLinear& one = outline.linears.emplace_back();
    one.name = linear.name;
    one.in_features = linear.weight ? linear.weight->cols : 0;
    one.formats = formats_of(linear);
    one.pow2_scales = (!linear.weight || is_power_of_two(linear.weight->tensor_scale)) &&
                      (!linear.input || is_power_of_two(linear.input->tensor_scale));
  }
  return outline;
}

std::vector<Refusal> export_refusals(const Exporter& exporter, const ExportOutline& outline) {
  const auto quantized = [](const OutlineLinear& linear) { return linear.formats.weights != nullptr; };
  const bool has_codes = std::ranges::any_of(outline.linears, quantized);
  std::vector<Refusal> refusals;
  if (exporter.stores_codes && !has_codes)
    refusals.push_back({{"", "a quantized layer at least", "none", "export as dense"}});

  LayerRefusals of_layers = outline.layer_refusals();
  for (const OutlineLinear& linear : outline.linears) {
    const LayerFormats& formats = linear.formats;
    if (formats.weights == nullptr && formats.inputs != nullptr)
      of_layers.add(linear.name, {"", "quantized weights behind a quantized input", "plain ones", ""}, -1, true);
    if (formats.weights == nullptr || exporter.holds(formats)) continue;
    of_layers.add(linear.name,
                  {"", held_formats(exporter),
                   fmt::format("{} weights with {} inputs", said(formats.weights), said(formats.inputs)),
                   fmt::format("{} has no place for these; export as {}", exporter.name, others_that_hold(formats))});
  }
  for (Refusal& refusal : of_layers.told()) refusals.push_back(std::move(refusal));
  if (exporter.stores_codes && outline.cache != nullptr && outline.cache->name != exporter.cache_format)
    refusals.push_back(cache_refusal(exporter, *outline.cache, outline.linears));
  if (exporter.refuse != nullptr)
    for (Refusal& refusal : exporter.refuse(outline)) refusals.push_back(std::move(refusal));
  for (auto& [problem, rule] : refusals)
    problem.who = std::string(exporter.name) + (problem.who.empty() ? "" : ": ") + problem.who;
  return refusals;
}

void check_holds(std::string_view layout, const ExportModel& model, const ModelConfig& config) {
  throw_if_any(export_refusals(exporter(layout), outline_of(model, config)), "export as " + std::string(layout));
}

}  // namespace qad
