// Which parameters training moves, and how far: rules over their names and roles.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "autograd/optim/adamw.h"
#include "qad/quant/attach.h"
#include "qad/quant/layer_refusals.h"

namespace qad {

/// Of several rules that match a parameter the last one counts, whole; what none matches is moved as ever.
struct ParameterRule {
  std::string names = "*";
  std::optional<Role> role{};
  double lr_factor = 1;
  std::optional<double> weight_decay{};
  bool frozen = false;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"names", "names of parameters, such as *.mlp.*.weight; * stands for any characters, ? for one"}, names);
    visit(Field{"role", "only parameters that are this, however a family names them"}, role);
    visit(Field{"lr_factor", "times the learning rate of the step"}.above(0), lr_factor);
    visit(Field{"weight_decay", "theirs, of norms and biases too; train.adamw.weight_decay where this says nothing"}
              .at_least(0),
          weight_decay);
    visit(Field{"frozen", "they stay as they are: no gradient is computed for them, and they have no moments"}, frozen);
  }
};

/// A parameter as rules see it.
struct RuledParameter {
  std::string name;
  Role role;
};
/// All that training may move of a model of which there is only a config, and of its quantizers. Throws as make_model
/// does. `router`: whether routers learn.
[[nodiscard]] std::vector<RuledParameter> parameters_to_move(const ModelConfig& config, const QuantizeConfig& quantize,
                                                             bool router);
/// Rules that match none of these, each told.
[[nodiscard]] std::vector<Refusal> idle_rules(const std::vector<RuledParameter>& parameters,
                                              const std::vector<ParameterRule>& rules);

struct MovedParameters {
  ParameterList parameters;
  std::vector<AdamWOptions> options;  ///< one each
};
/// Makes constants of what the rules freeze; the rest, with the parameters that quantizers train, is what moves, those
/// of Role::scale alone in the first `scale_steps` updates. A rule that matches nothing, rules that leave nothing and
/// such updates without scales are an Error (usage).
[[nodiscard]] MovedParameters moved_parameters(LanguageModel& model, const QuantizerSet& quantizers,
                                               const std::vector<ParameterRule>& rules, const AdamWConfig& adamw,
                                               std::int64_t scale_steps = 0);

}  // namespace qad
