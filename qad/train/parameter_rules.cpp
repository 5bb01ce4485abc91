#include "qad/train/parameter_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "autograd/base/error.h"

namespace qad {
namespace {

bool matches(const ParameterRule& rule, const Parameter& parameter) {
  return glob_match(rule.names, parameter.name) && (!rule.role || *rule.role == parameter.role);
}

std::string text_of(const ParameterRule& rule) {
  return rule.role ? fmt::format("'{}' with the role {}", rule.names, enum_name(*rule.role))
                   : fmt::format("'{}'", rule.names);
}

void check_that_all_match(const ParameterList& parameters, const std::vector<ParameterRule>& rules) {
  for (std::size_t i = 0; i < rules.size(); ++i)
    if (std::ranges::none_of(parameters, [&](const ParameterPointer& one) { return matches(rules[i], *one); }))
      throw Error({.who = fmt::format("train.parameters[{}]", i),
                   .expected = "a rule that matches a parameter that is trained",
                   .got = text_of(rules[i]) + ", which matches none",
                   .hint = "names are those of the model's files: " + parameters.front()->name},
                  ExitCode::usage);
}

}  // namespace

MovedParameters moved_parameters(LanguageModel& model, const QuantizerSet& quantizers,
                                 const std::vector<ParameterRule>& rules, const AdamWConfig& adamw,
                                 std::int64_t scale_steps) {
  const ParameterList all = trained_parameters(model, quantizers);
  if (!all.empty()) check_that_all_match(all, rules);
  MovedParameters moved;
  for (const ParameterPointer& parameter : all) {
    const auto last = std::find_if(rules.rbegin(), rules.rend(),
                                   [&](const ParameterRule& rule) { return matches(rule, *parameter); });
    const ParameterRule rule = last == rules.rend() ? ParameterRule() : *last;
    if (rule.frozen) {
      parameter->variable = Variable(parameter->value());
      continue;
    }
    const double usual = parameter->decays() ? adamw.weight_decay : 0.0;
    moved.parameters.push_back(parameter);
    moved.options.push_back({.lr_factor = rule.lr_factor,
                             .weight_decay = rule.weight_decay.value_or(usual),
                             .waits = parameter->role == Role::scale ? 0 : scale_steps});
  }
  const bool any_scale =
      std::ranges::any_of(moved.parameters, [](const auto& one) { return one->role == Role::scale; });
  if (scale_steps > 0 && !any_scale)
    throw Error({.who = "train.scale_steps",
                 .expected = "0, or scales that are trained",
                 .got = fmt::format("{} steps without any", scale_steps),
                 .hint = "quantize.scales: lsq or dual_lsq trains them"},
                ExitCode::usage);
  if (moved.parameters.empty() && !rules.empty())
    throw Error({.who = "train.parameters", .expected = "something that is trained", .got = "rules that freeze it all"},
                ExitCode::usage);
  return moved;
}

}  // namespace qad
