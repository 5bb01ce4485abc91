#include "qad/quant/policy.h"

#include <fmt/format.h>

#include <algorithm>

#include "autograd/base/error.h"

namespace qad {
namespace {

const BlockFormat* format_or_none(const std::string& name, const std::string& who) {
  if (name == "none") return nullptr;
  try {
    return &block_format(name);
  } catch (const Error& unknown) {
    throw Error({.who = who, .got = unknown.what(), .hint = "or none"});
  }
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text) {
  // On a mismatch, the last * takes one character more; earlier ones never need to.
  std::size_t p = 0, t = 0, star = std::string_view::npos, taken = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

bool matches(const QuantizeRule& rule, const LinearShape& layer) {
  return glob_match(rule.layers, layer.name) && (!rule.kind || *rule.kind == layer.kind) &&
         (!rule.before || std::ranges::find(layer.next, *rule.before) != layer.next.end());
}

std::string place_text(const QuantizeRule& rule) {
  std::string text;
  if (rule.kind) text += fmt::format(" {}", enum_name(*rule.kind));
  if (rule.before) text += fmt::format(" before {}", enum_name(*rule.before));
  return text.empty() ? "" : "," + text;
}

namespace {

// What is said for all layers counts where a format has what it speaks of; what a rule says is refused elsewhere.
StraightThrough where_it_can(StraightThrough said, const BlockFormat* format) {
  const bool has_scales = format == nullptr || format->scale != nullptr;
  return said == StraightThrough::through_scale && !has_scales ? StraightThrough::identity : said;
}

}  // namespace

Policy::Policy(const QuantizeConfig& config, CalibrationKind algorithm) {
  const auto resolved = [&](const QuantizeRule& rule, const LayerFormats& formats) {
    const RuleTensorScale own = rule.tensor_scale.value_or(RuleTensorScale{});
    const TensorScaleConfig& common = config.tensor_scale;
    const StraightThrough of_inputs = config.input_ste.value_or(rule.ste.value_or(config.ste));
    const bool inputs_say = rule.input_ste || (rule.ste && !config.input_ste);
    const bool has_scales = formats.weights != nullptr && formats.weights->scale != nullptr;
    return LayerOptions{formats,
                        {own.round.value_or(common.round), own.from.value_or(common.from), common.headroom},
                        rule.ste ? *rule.ste : where_it_can(config.ste, formats.weights),
                        inputs_say ? rule.input_ste.value_or(of_inputs) : where_it_can(of_inputs, formats.inputs),
                        rule.algorithm.value_or(algorithm),
                        has_scales ? (rule.scales ? rule.scales : config.scales) : std::nullopt};
  };
  for (std::size_t i = 0; i < config.rules.size(); ++i) {
    const QuantizeRule& rule = config.rules[i];
    const auto format = [&](std::string_view key, const std::string& name) {
      return format_or_none(name, fmt::format("quantize.rules[{}].{}", i, key));
    };
    rules_.push_back({rule, resolved(rule, {format("weights", rule.weights), format("inputs", rule.inputs)})});
  }
  cache_ = resolved({}, {nullptr, format_or_none(config.kv_cache, "quantize.kv_cache")});
}

LayerOptions Policy::options(const LinearShape& layer) const {
  const int rule = rule_of(layer);
  return rule < 0 ? LayerOptions{} : of_rule(rule);
}

int Policy::rule_of(const LinearShape& layer) const {
  const auto last =
      std::find_if(rules_.rbegin(), rules_.rend(), [&](const Rule& rule) { return matches(rule.said, layer); });
  return static_cast<int>(rules_.rend() - last) - 1;
}

std::string pattern_of(const std::string& name) {
  std::string result;
  std::size_t begin = 0;
  while (begin <= name.size()) {
    const std::size_t end = std::min(name.find('.', begin), name.size());
    const std::string part = name.substr(begin, end - begin);
    const bool is_number = !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
    result += (begin == 0 ? "" : ".") + (is_number ? "*" : part);
    begin = end + 1;
  }
  return result;
}

std::string_view name_of(const BlockFormat* format) { return format ? format->name : "none"; }

}  // namespace qad
