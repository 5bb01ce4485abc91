#include "qad/train/parameter_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "autograd/base/error.h"
#include "models/families/linear_shapes.h"
#include "models/families/registry.h"
#include "qad/quant/learned_scales.h"

namespace qad {
namespace {

bool matches(const ParameterRule& rule, std::string_view name, Role role) {
  return glob_match(rule.names, name) && (!rule.role || *rule.role == role);
}

std::string text_of(const ParameterRule& rule) {
  return rule.role ? fmt::format("'{}' with the role {}", rule.names, enum_name(*rule.role))
                   : fmt::format("'{}'", rule.names);
}

}  // namespace

std::vector<RuledParameter> parameters_to_move(const ModelConfig& config, const QuantizeConfig& quantize, bool router) {
  std::vector<RuledParameter> parameters;
  config.check("the model's sizes");
  static_cast<void>(make_model(config, [&](const ParameterSpec& spec) {
    if (router || spec.role != Role::router) parameters.push_back({spec.name, spec.role});
    return make_parameter(spec.name, Tensor(Shape{1}), false);  // nobody looks at its values
  }));
  const Policy policy(quantize);
  for (const LinearShape& layer : linear_shapes(config))
    if (const auto scales = policy.options(layer).scales; scales == BlockScales::lsq || scales == BlockScales::dual_lsq)
      for (const std::string& name : LearnedScales::names(layer.name + ".weight", scales == BlockScales::dual_lsq))
        parameters.push_back({name, Role::scale});
  return parameters;
}

std::vector<Refusal> idle_rules(const std::vector<RuledParameter>& parameters,
                                const std::vector<ParameterRule>& rules) {
  std::vector<Refusal> idle;
  if (parameters.empty()) return idle;
  for (std::size_t i = 0; i < rules.size(); ++i)
    if (std::ranges::none_of(parameters, [&](const auto& one) { return matches(rules[i], one.name, one.role); }))
      idle.push_back({{.who = fmt::format("train.parameters[{}]", i),
                       .expected = "a rule that matches a parameter that is trained",
                       .got = text_of(rules[i]) + ", which matches none",
                       .hint = "names are those of the model's files: " + parameters.front().name},
                      static_cast<int>(i)});
  return idle;
}

MovedParameters moved_parameters(LanguageModel& model, const QuantizerSet& quantizers,
                                 const std::vector<ParameterRule>& rules, const AdamWConfig& adamw,
                                 std::int64_t scale_steps) {
  const ParameterList all = trained_parameters(model, quantizers);
  std::vector<RuledParameter> ruled;
  for (const ParameterPointer& parameter : all) ruled.push_back({parameter->name, parameter->role});
  if (const auto idle = idle_rules(ruled, rules); !idle.empty()) throw Error(idle.front().problem, ExitCode::usage);
  MovedParameters moved;
  for (const ParameterPointer& parameter : all) {
    const auto last = std::find_if(rules.rbegin(), rules.rend(), [&](const ParameterRule& rule) {
      return matches(rule, parameter->name, parameter->role);
    });
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
