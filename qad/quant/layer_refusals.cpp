#include "qad/quant/layer_refusals.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "qad/quant/policy.h"

namespace qad {
namespace {

// "*.down_proj" of model.layers.3.mlp.down_proj; a name without dots is its own pattern.
std::string short_pattern(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string::npos ? name : "*" + name.substr(dot);
}

std::string exclusion(const std::vector<std::string>& patterns) {
  std::vector<std::string> rules;
  for (const std::string& pattern : patterns)
    rules.push_back(fmt::format("{{layers: \"{}\", weights: none, inputs: none}}", pattern));
  return fmt::format("exclude by {} {}", rules.size() == 1 ? "a last rule" : "last rules", fmt::join(rules, ", "));
}

std::string described(const LayerFormats& formats) {
  return fmt::format("weights {}, inputs {}", name_of(formats.weights), name_of(formats.inputs));
}

// "identity (quantize.rules[2])".
std::string with_rule(std::string_view option, int rule) {
  return fmt::format("{} (quantize.rules[{}])", option, rule);
}

std::string described(const TensorScaleConfig& scale) {
  return fmt::format("round {}, from {}", enum_name(scale.round), enum_name(scale.from));
}

bool has_tensor_scale(const LayerFormats& formats) {
  return (formats.weights != nullptr && formats.weights->has_tensor_scale) ||
         (formats.inputs != nullptr && formats.inputs->has_tensor_scale);
}

// What members of a group share can be had in one way only: the scale of their weights, and their input.
void check_shared(const LinearShape& layer, const LinearShape& first, const Policy& policy, bool share_groups,
                  LayerRefusals& refusals) {
  const int rule = policy.rule_of(layer), first_rule = policy.rule_of(first);
  if (rule == first_rule) return;
  const LayerOptions& own = policy.of_rule(rule);
  const LayerOptions& expected = policy.of_rule(first_rule);
  const auto refuse = [&](std::string_view what, const std::string& wanted, const std::string& got,
                          std::string_view shared) {
    refusals.add(layer.name,
                 {"",
                  fmt::format("the {} of {}, {}, since they share {}", what, short_pattern(first.name),
                              with_rule(wanted, first_rule), shared),
                  with_rule(got, rule), "let the rules of the whole group say the same"},
                 rule);
  };
  const bool shares_input = expected.formats.inputs != nullptr;
  if ((share_groups || shares_input) && has_tensor_scale(expected.formats) && own.tensor_scale != expected.tensor_scale)
    refuse("tensor_scale", described(expected.tensor_scale), described(own.tensor_scale), "a scale");
  if (shares_input && own.input_ste != expected.input_ste)
    refuse("input_ste", std::string(enum_name(expected.input_ste)), std::string(enum_name(own.input_ste)),
           "a quantized input");
}

}  // namespace

std::vector<std::string> patterns_of(const std::vector<std::string>& some, std::span<const std::string> all) {
  const std::set<std::string> told(some.begin(), some.end());
  // Of the layers that fit a pattern, either all are told of by it or it is no pattern of theirs.
  const auto fits = [&](const std::string& pattern) {
    return std::ranges::all_of(
        all, [&](const std::string& name) { return !glob_match(pattern, name) || told.contains(name); });
  };
  std::map<std::string, bool> known;  // whether a pattern fits
  std::vector<std::string> patterns;
  for (const std::string& name : some) {
    std::string pattern = name;
    for (const std::string& wider : {short_pattern(name), pattern_of(name)}) {
      const auto found = known.find(wider);
      if (found != known.end() ? found->second : (known[wider] = fits(wider))) {
        pattern = wider;
        break;
      }
    }
    if (std::ranges::find(patterns, pattern) == patterns.end()) patterns.push_back(pattern);
  }
  return patterns;
}

void LayerRefusals::add(const std::string& layer, const Problem& problem, int rule, bool exclude) {
  const auto same = std::ranges::find_if(entries_, [&](const Entry& entry) {
    return entry.rule == rule && entry.exclude == exclude && entry.problem.expected == problem.expected &&
           entry.problem.got == problem.got && entry.problem.hint == problem.hint;
  });
  if (same == entries_.end()) entries_.push_back({problem, rule, exclude, {layer}});
  else if (same->layers.back() != layer) same->layers.push_back(layer);
}

std::vector<Refusal> LayerRefusals::told() const {
  std::vector<Refusal> refusals;
  for (const Entry& entry : entries_) {
    const std::vector<std::string> patterns = patterns_of(entry.layers, all_);
    Problem problem = entry.problem;
    problem.who = fmt::format("{}", fmt::join(patterns, ", "));
    if (entry.layers.size() > 1) problem.who += fmt::format(" ({} layers)", entry.layers.size());
    if (entry.exclude) problem.hint = exclusion(patterns) + (problem.hint.empty() ? "" : ", or ") + problem.hint;
    refusals.push_back({std::move(problem), entry.rule});
  }
  return refusals;
}

void throw_if_any(const std::vector<Refusal>& refusals, const std::string& what, ExitCode code) {
  if (refusals.empty()) return;
  if (refusals.size() == 1) throw Error(refusals.front().problem, code);
  std::string all = fmt::format("{} errors", refusals.size());
  for (const Refusal& refusal : refusals) all += std::string("\n  ") + Error(refusal.problem).what();
  throw Error({.who = what, .got = std::move(all)}, code);
}

std::vector<Refusal> quantize_refusals(std::span<const LinearShape> layers, const QuantizeConfig& config) {
  const Policy policy(config);
  std::vector<std::string> names;
  for (const LinearShape& layer : layers) names.push_back(layer.name);
  LayerRefusals refusals(std::move(names));
  const LinearShape* first = nullptr;  // of the group
  for (const LinearShape& layer : layers) {
    if (first == nullptr || layer.group != first->group) first = &layer;
    const int rule = policy.rule_of(layer);
    const LayerFormats formats = policy(layer), expected = policy(*first);
    if (formats != expected)
      refusals.add(layer.name,
                   {"",
                    fmt::format("the formats of {} ({}), since engines fuse them", short_pattern(first->name),
                                described(expected)),
                    described(formats), "let the same rules match the whole group"},
                   rule);
    else if (formats != LayerFormats{}) check_shared(layer, *first, policy, config.share_groups, refusals);
    for (const BlockFormat* format : {formats.weights, formats.inputs}) {
      if (format == nullptr || layer.in_features % format->block_size(layer.in_features) == 0) continue;
      refusals.add(layer.name,
                   {"", fmt::format("an inner dimension that is a multiple of {} for {}", format->block, format->name),
                    fmt::format("{}", layer.in_features), ""},
                   rule, true);
    }
    if (formats.weights != nullptr && layer.tied)
      refusals.add(layer.name, {"", "a head of its own to quantize", "one that is tied to the embedding", ""}, rule,
                   true);
  }
  return refusals.told();
}

std::vector<Refusal> cache_refusals(const ModelConfig& model, const QuantizeConfig& config) {
  const BlockFormat* const format = Policy(config).cache().formats.inputs;
  if (format != nullptr && model.latent_attention)
    return {{{"keys and values", "no kv_cache format for latent attention", std::string(format->name),
              "its keys and values are made of a narrow vector, which has no scales here yet"}}};
  if (format == nullptr || model.head_size() % format->block_size(model.head_size()) == 0) return {};
  return {{{"keys and values", fmt::format("a head_dim that is a multiple of {} for {}", format->block, format->name),
            fmt::format("{}", model.head_size()), "choose another format for kv_cache, or none"}}};
}

}  // namespace qad
