#include "qad/checkpoint/run_state.h"

#include <set>
#include <vector>

#include "autograd/base/error.h"
#include "autograd/kernels/table.h"

namespace qad {
namespace {

// One list of the counters and figures for both directions.
template <class State, class Visit>
void visit_numbers(State& state, Visit&& visit) {
  visit("step", state.step);
  visit("tokens", state.tokens);
  visit("data_position", state.data_position);
  visit("skipped_steps", state.skipped_steps);
  visit("skipped_in_a_row", state.skipped_in_a_row);
  visit("beyond_in_a_row", state.beyond_in_a_row);
  visit("evaluations_without_better", state.evaluations_without_better);
  visit("best_step", state.best_step);
  visit("has_best", state.has_best);
  visit("seconds", state.seconds);
  visit("evaluation_pending", state.evaluation_pending);
  visit_figures(state.best, [&](const char* name, auto& figure) { visit(std::string("best.") + name, figure); });
  visit_figures(state.before, [&](const char* name, auto& figure) { visit(std::string("before.") + name, figure); });
  auto& last = state.last_step;
  visit("last_step.step", last.step);
  visit("last_step.tokens", last.tokens);
  visit("last_step.loss", last.loss);
  visit("last_step.lr", last.lr);
  visit("last_step.grad_norm", last.grad_norm);
  visit("last_step.tokens_per_second", last.tokens_per_second);
  visit("last_step.saturated_weights", last.saturated_weights);
  visit("last_step.saturated_activations", last.saturated_activations);
  visit("last_step.skipped", last.skipped);
  visit("last_step.eval_follows", last.eval_follows);
}

constexpr const char* kRollout = "last_step.rollout.";
constexpr const char* kModel = "model/";
constexpr const char* kQuantizer = "quantizer/";
constexpr const char* kFirstMoment = "adamw/first/";
constexpr const char* kSecondMoment = "adamw/second/";
constexpr const char* kUpdates = "adamw.updates";
constexpr const char* kScale = "scale/";
constexpr const char* kDiverged = "diverged";
constexpr const char* kHint = "is it a checkpoint of another model?";

void restore_tensor(const CheckpointContent& content, const std::string& name, const Tensor& target,
                    const std::string& file) {
  const auto found = content.tensors.find(name);
  if (found == content.tensors.end()) throw Error({file, "the tensor " + name, "none", kHint});
  const Tensor& saved = found->second;
  if (saved.shape() != target.shape())
    throw Error({file + ": " + name, "shape " + target.shape().text(), saved.shape().text(), kHint});
  if (saved.dtype() != target.dtype())
    throw Error({file + ": " + name, std::string(name_of(target.dtype())), std::string(name_of(saved.dtype())), kHint});
  target.copy_from(saved);
}

// best.h5 has no optimizer, and one who exports the last checkpoint does not ask for its own: both may be there.
void check_no_surplus(const CheckpointContent& content, const RunParts& parts, const std::string& file) {
  std::set<std::string> known;
  const auto add = [&](const ParameterList& parameters, const char* values) {
    for (const ParameterPointer& parameter : parameters)
      for (const char* kind : {values, kFirstMoment, kSecondMoment}) known.insert(kind + parameter->name);
  };
  add(parts.student.parameters(), kModel);
  add(parts.quantizers.parameters(), kQuantizer);
  for (const auto& [name, tensor] : content.tensors)
    if (!known.contains(name) && !name.starts_with(kScale))
      throw Error({file, "no tensors but the model's", name + " as well", kHint});
}

}  // namespace

CheckpointContent pack(const RunState& state, const RunParts& parts, const std::string& recipe) {
  CheckpointContent content;
  content.texts["recipe"] = recipe;
  content.texts["kernels"] = kernel_description();  // which bits these are (HACKING.md, numerics 8)
  if (!state.diverged.empty()) content.texts[kDiverged] = state.diverged;
  visit_numbers(state, [&](const std::string& name, const auto& value) {
    if constexpr (std::is_floating_point_v<std::remove_cvref_t<decltype(value)>>) content.numbers[name] = value;
    else content.numbers[name] = static_cast<std::int64_t>(value);
  });
  if (state.last_step.rollout)
    visit_rollout(*state.last_step.rollout,
                  [&](const char* name, double figure) { content.numbers[std::string(kRollout) + name] = figure; });
  for (const auto& [name, value] : parts.quantizers.state()) content.numbers[kScale + name] = value;
  for (const auto& [name, tensor] : parts.quantizers.state_tensors()) content.tensors[kScale + name] = tensor;
  for (const ParameterPointer& parameter : parts.student.parameters())
    content.tensors[kModel + parameter->name] = parameter->value();
  for (const ParameterPointer& parameter : parts.quantizers.parameters())
    content.tensors[kQuantizer + parameter->name] = parameter->value();
  if (parts.optimizer != nullptr) {
    content.numbers[kUpdates] = parts.optimizer->updates();
    for (std::size_t i = 0; i < parts.optimizer->states().size(); ++i) {
      const std::string& name = parts.optimizer->parameters()[i]->name;
      content.tensors[kFirstMoment + name] = parts.optimizer->states()[i].first;
      content.tensors[kSecondMoment + name] = parts.optimizer->states()[i].second;
    }
  }
  return content;
}

RunState unpack(const CheckpointContent& content, const RunParts& parts, const std::string& file) {
  const auto number = [&](const std::string& name) {
    const auto found = content.numbers.find(name);
    if (found == content.numbers.end()) throw Error({file, "the number " + name, "none", "is it another program's?"});
    return found->second;
  };
  RunState state;
  visit_numbers(state, [&](const std::string& name, auto& value) {
    using Value = std::remove_cvref_t<decltype(value)>;
    const bool is_newer = name.starts_with("best.") || name.starts_with("before.") || name == "beyond_in_a_row";
    if (is_newer && !content.numbers.contains(name)) return;  // an older program did not know it
    if constexpr (std::is_floating_point_v<Value>) value = std::get<double>(number(name));
    else value = static_cast<Value>(std::get<std::int64_t>(number(name)));
  });
  if (const auto found = content.texts.find(kDiverged); found != content.texts.end()) state.diverged = found->second;
  if (content.numbers.contains(std::string(kRollout) + "reward"))
    visit_rollout(state.last_step.rollout.emplace(), [&](const char* name, double& figure) {
      figure = std::get<double>(number(std::string(kRollout) + name));
    });
  const auto restore_values = [&](const ParameterList& parameters, const char* kind) {
    for (const ParameterPointer& parameter : parameters) {
      restore_tensor(content, kind + parameter->name, parameter->value(), file);
      parameter->changed();
    }
  };
  restore_values(parts.student.parameters(), kModel);
  restore_values(parts.quantizers.parameters(), kQuantizer);
  check_no_surplus(content, parts, file);
  std::vector<QuantizerSet::NamedValue> scales;
  for (const auto& [name, value] : content.numbers)
    if (name.starts_with(kScale))
      scales.emplace_back(name.substr(std::string_view(kScale).size()), std::get<double>(value));
  QuantizerSet::NamedTensors block_scales;
  for (const auto& [name, tensor] : content.tensors)
    if (name.starts_with(kScale)) block_scales[name.substr(std::string_view(kScale).size())] = tensor;
  parts.quantizers.restore(scales, file, block_scales);
  if (parts.optimizer != nullptr) {
    parts.optimizer->set_updates(std::get<std::int64_t>(number(kUpdates)));
    for (std::size_t i = 0; i < parts.optimizer->states().size(); ++i) {
      const std::string& name = parts.optimizer->parameters()[i]->name;
      restore_tensor(content, kFirstMoment + name, parts.optimizer->states()[i].first, file);
      restore_tensor(content, kSecondMoment + name, parts.optimizer->states()[i].second, file);
    }
  }
  return state;
}

}  // namespace qad
