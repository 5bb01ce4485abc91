#include "qad/search/search_space.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "autograd/base/error.h"

namespace qad {
namespace {

constexpr std::int64_t kTensorScaleBits = 32;

std::vector<LayerFormats> formats_of(const SearchConfig& search) {
  const auto format = [](const std::string& name) { return name == "none" ? nullptr : &block_format(name); };
  std::vector<LayerFormats> all;
  for (const SearchCandidate& one : search.candidates) all.push_back({format(one.weights), format(one.inputs)});
  return all;
}

bool fits(const LayerFormats& formats, const LinearShape& layer) {
  const auto fits_one = [&](const BlockFormat* format) {
    return format == nullptr || layer.in_features % format->block_size(layer.in_features) == 0;
  };
  return fits_one(formats.weights) && fits_one(formats.inputs);
}

std::int64_t counted(double value, const LinearShape& layer, SearchCost cost) {
  return std::llround(cost == SearchCost::active ? value * layer.token_share : value);
}

std::int64_t weights_of(const LinearShape& layer, SearchCost cost) {
  return counted(static_cast<double>(layer.out_features * layer.in_features), layer, cost);
}

std::int64_t bits_of_layer(const LinearShape& layer, const LayerFormats& formats, SearchCost cost) {
  const auto weights = static_cast<double>(layer.out_features * layer.in_features);
  double bits = weights * (formats.weights ? formats.weights->bits_per_weight(layer.in_features) : kDenseBits);
  for (const BlockFormat* format : {formats.weights, formats.inputs})
    if (format != nullptr && format->has_tensor_scale) bits += kTensorScaleBits;
  return counted(bits, layer, cost);
}

// "model.layers.0.mlp.experts.*" of model.layers.0.mlp.experts.5.up_proj: what stands behind the last number is cut.
std::string experts_of(const std::string& layer) {
  for (std::size_t end = layer.rfind('.'); end != std::string::npos && end > 0; end = layer.rfind('.', end - 1)) {
    const std::size_t dot = layer.rfind('.', end - 1);
    if (dot == std::string::npos) break;
    const std::string part = layer.substr(dot + 1, end - dot - 1);
    if (std::ranges::all_of(part, [](unsigned char c) { return std::isdigit(c) != 0; }))
      return layer.substr(0, dot + 1) + "*";
  }
  return layer;
}

template <class Value>
void add_new(std::vector<Value>& list, const Value& value) {
  if (list.empty() || list.back() != value) list.push_back(value);
}

}  // namespace

std::int64_t SearchSpace::budget(double effective_bits) const {
  return static_cast<std::int64_t>(std::floor(effective_bits * static_cast<double>(weights)));
}

std::int64_t SearchSpace::least_bits() const {
  std::int64_t bits = kept_bits;
  for (const SearchGroup& group : groups) bits += std::ranges::min(group.options, {}, &SearchOption::bits).bits;
  return bits;
}

std::int64_t SearchSpace::bits_of(const std::vector<std::size_t>& choice) const {
  std::int64_t bits = kept_bits;
  for (std::size_t i = 0; i < groups.size(); ++i) bits += groups[i].options[choice[i]].bits;
  return bits;
}

SearchSpace search_space(std::span<const LinearShape> layers, const QuantizeConfig& kept, const SearchConfig& search) {
  const Policy policy(kept);
  const std::vector<LayerFormats> candidates = formats_of(search);
  SearchSpace space;
  std::vector<std::vector<const LinearShape*>> members;
  for (const LinearShape& layer : layers) {
    if (layer.kind == ModuleKind::head) continue;
    space.weights += weights_of(layer, search.cost);
    if (policy.rule_of(layer) >= 0) {
      space.kept_bits += bits_of_layer(layer, policy(layer), search.cost);
      continue;
    }
    const bool is_expert = layer.kind == ModuleKind::experts;
    const std::string name = is_expert ? experts_of(layer.name) : layer.group;
    auto found = std::ranges::find(space.groups, name, &SearchGroup::name);
    if (found == space.groups.end()) {
      space.groups.push_back({name, {}, {}, 0, {}});
      members.emplace_back();
      found = std::prev(space.groups.end());
    }
    add_new(found->layers, is_expert ? name : layer.name);
    add_new(found->inputs, layer.group);
    found->weights += weights_of(layer, search.cost);
    members[static_cast<std::size_t>(found - space.groups.begin())].push_back(&layer);
  }
  for (std::size_t i = 0; i < space.groups.size(); ++i) {
    const auto bits = [&](const LayerFormats& formats) {
      std::int64_t sum = 0;
      for (const LinearShape* layer : members[i]) sum += bits_of_layer(*layer, formats, search.cost);
      return sum;
    };
    std::vector<SearchOption>& options = space.groups[i].options;
    for (std::size_t k = 0; k < candidates.size(); ++k)
      if (std::ranges::all_of(members[i], [&](const LinearShape* layer) { return fits(candidates[k], *layer); }))
        options.push_back({k, bits(candidates[k])});
    if (options.empty()) options.push_back({kDense, bits({})});
  }
  return space;
}

std::string candidate_name(const SearchConfig& search, std::size_t candidate) {
  if (candidate == kDense) return "none";
  const SearchCandidate& one = search.candidates[candidate];
  std::string name = one.weights == one.inputs ? one.weights : fmt::format("{}, inputs {}", one.weights, one.inputs);
  if (one.algorithm) name += fmt::format(", {}", enum_name(*one.algorithm));
  return name;
}

QuantizeConfig with_choice(const QuantizeConfig& kept, const SearchConfig& search, const SearchSpace& space,
                           const std::vector<std::size_t>& choice) {
  QuantizeConfig config = kept;
  config.rules.clear();
  for (std::size_t i = 0; i < space.groups.size(); ++i) {
    const std::size_t candidate = space.groups[i].options[choice[i]].candidate;
    if (candidate == kDense) continue;
    const SearchCandidate& one = search.candidates[candidate];
    if (one.weights == "none" && one.inputs == "none") continue;
    for (const std::string& layer : space.groups[i].layers) {
      QuantizeRule rule;
      rule.layers = layer;
      rule.weights = one.weights;
      rule.inputs = one.inputs;
      rule.algorithm = one.algorithm;
      config.rules.push_back(rule);
    }
  }
  config.rules.insert(config.rules.end(), kept.rules.begin(), kept.rules.end());
  return config;
}

std::vector<std::size_t> all_in(const SearchSpace& space, std::size_t candidate) {
  std::vector<std::size_t> choice;
  for (const SearchGroup& group : space.groups) {
    const auto found = std::ranges::find(group.options, candidate, &SearchOption::candidate);
    choice.push_back(found != group.options.end() ? static_cast<std::size_t>(found - group.options.begin()) : 0);
  }
  return choice;
}

}  // namespace qad
