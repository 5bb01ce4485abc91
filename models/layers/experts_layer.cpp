#include "models/layers/experts_layer.h"

#include <array>
#include <optional>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/experts.h"
#include "models/layers/make_linear.h"
#include "models/routing.h"

namespace qad {
namespace {

class ExpertsLayer final : public Layer {
 public:
  ExpertsLayer(const std::string& name, const ExpertsConfig& config, ParameterPointer router,
               ParameterPointer choice_bias, LinearGroup gate_up, LinearGroup down,
               std::optional<LinearGroup> shared_gate_up, std::optional<LinearGroup> shared_down)
      : config_(config),
        router_(std::move(router)),
        choice_bias_(std::move(choice_bias)),
        shown_{name, config.num_experts, config.num_experts_per_tok, choice_bias_},
        gate_up_(std::move(gate_up)),
        down_(std::move(down)),
        shared_gate_up_(std::move(shared_gate_up)),
        shared_down_(std::move(shared_down)) {}

  [[nodiscard]] Variable operator()(const Variable& x_TC, const ForwardPlan& /*plan*/,
                                    LayerState* /*state*/) const override {
    const std::int64_t k = config_.num_experts_per_tok;
    const Routing routing = route(linear(x_TC, router_->operand(), {}), rule());
    if (shown_.listener) shown_.listener(routing);
    const std::vector<RoutedRows> rows = rows_by_expert(routing, config_.num_experts);
    std::vector<const Linear*> hit;  // gates and ups of the experts that tokens go to
    for (std::size_t e = 0; e < rows.size(); ++e)
      if (!rows[e]->empty()) hit.insert(hit.end(), {&gate_up_.members[2 * e], &gate_up_.members[2 * e + 1]});
    const Variable input_TC = gate_up_.input(x_TC, hit);
    Variable sum_TC(Tensor::zeros(x_TC.shape()));
    for (std::size_t e = 0; e < rows.size(); ++e) {
      if (rows[e]->empty()) continue;
      const Variable own = gather_tokens(input_TC, rows[e], k);
      const Variable inner = swiglu(gate_up_.members[2 * e](own), gate_up_.members[2 * e + 1](own));
      const Linear& down = down_.members[e];
      sum_TC = add_routed(std::move(sum_TC), down(down_.input(inner, std::array{&down})), rows[e], routing);
    }
    if (!shared_down_) return sum_TC;
    const std::vector<Variable> shared = (*shared_gate_up_)(x_TC);
    return add((*shared_down_)(swiglu(shared[0], shared[1]))[0], std::move(sum_TC));
  }

  [[nodiscard]] ModuleKind kind() const override { return ModuleKind::experts; }
  void visit(ModuleVisitor& visitor) override {
    visitor.experts(shown_);
    visitor.parameter(router_);
    if (choice_bias_ != nullptr) visitor.parameter(choice_bias_);
    qad::visit(gate_up_, visitor);
    qad::visit(down_, visitor);
    if (!shared_down_) return;
    visitor.kind(ModuleKind::shared_experts);
    qad::visit(*shared_gate_up_, visitor);
    qad::visit(*shared_down_, visitor);
  }

 private:
  // The bias is read as it is stored, whatever fills its slot: a rounded one would send tokens elsewhere.
  [[nodiscard]] RoutingRule rule() const {
    return {.experts_per_token = config_.num_experts_per_tok,
            .normalize = config_.norm_topk_prob,
            .scores = config_.scoring_func == ScoringFunction::softmax ? RouterScores::softmax : RouterScores::sigmoid,
            .groups = config_.n_group,
            .groups_taken = config_.topk_group,
            .scale = static_cast<float>(config_.routed_scaling_factor),
            .choice_bias = choice_bias_ != nullptr ? as_f32(choice_bias_->value()) : Tensor()};
  }

  ExpertsConfig config_;
  ParameterPointer router_;       // [E, C]
  ParameterPointer choice_bias_;  // [E], or null
  RoutedExperts shown_;
  LinearGroup gate_up_;  // members gate and up of each expert in turn
  LinearGroup down_;     // a member each
  // Of the expert that every token goes to. A group of its own, so that rules may give it other formats.
  std::optional<LinearGroup> shared_gate_up_, shared_down_;
};

}  // namespace

Residual make_experts(const ModelConfig& config, std::int64_t index, const ExpertNames& names,
                      const ParameterMaker& make) {
  const std::string prefix = "model.layers." + std::to_string(index), mlp = prefix + "." + names.module;
  const ExpertsConfig& sizes = *config.experts;
  const std::int64_t hidden = config.hidden_size, inner = sizes.moe_intermediate_size;
  Residual part{make({prefix + ".post_attention_layernorm.weight", {hidden}, Role::norm}),
                static_cast<float>(config.rms_norm_eps), nullptr};
  ParameterPointer router = make({mlp + ".gate.weight", {sizes.num_experts, hidden}, Role::router});
  ParameterPointer choice_bias;
  if (sizes.scoring_func == ScoringFunction::sigmoid)
    choice_bias = make({mlp + ".gate.e_score_correction_bias", {sizes.num_experts}, Role::choice_bias});
  LinearGroup gate_up{.name = mlp + ".experts.gate_up_proj", .fed_by = part.norm},
      down{.name = mlp + ".experts.down_proj"};
  const double share = static_cast<double>(sizes.num_experts_per_tok) / static_cast<double>(sizes.num_experts);
  for (std::int64_t e = 0; e < sizes.num_experts; ++e) {
    const std::string expert = mlp + ".experts." + std::to_string(e) + ".";
    for (const char* name : {names.gate, names.up}) {
      gate_up.members.push_back(make_linear({.name = expert + name, .out = inner, .in = hidden}, make));
      gate_up.members.back().fused = expert + "gate_up_proj";
      gate_up.members.back().token_share = share;
    }
    down.members.push_back(
        make_linear({.name = expert + names.down, .out = hidden, .in = inner, .adds_to_residual = true}, make));
    down.members.back().fused = expert + names.down;
    down.members.back().token_share = share;
  }
  std::optional<LinearGroup> shared_gate_up, shared_down;
  if (sizes.n_shared_experts > 0) {
    const std::string expert = mlp + ".shared_experts.";
    const std::int64_t width = sizes.n_shared_experts * inner;
    shared_gate_up.emplace().name = expert + "gate_up_proj";
    for (const char* name : {names.gate, names.up})
      shared_gate_up->members.push_back(make_linear({.name = expert + name, .out = width, .in = hidden}, make));
    shared_gate_up->fed_by = part.norm;
    shared_down.emplace().name = expert + names.down;
    shared_down->members = {
        make_linear({.name = expert + names.down, .out = hidden, .in = width, .adds_to_residual = true}, make)};
    shared_down->fed_by = shared_gate_up->members.back().weight;
  }
  part.layer = std::make_unique<ExpertsLayer>(mlp, sizes, std::move(router), std::move(choice_bias), std::move(gate_up),
                                              std::move(down), std::move(shared_gate_up), std::move(shared_down));
  return part;
}

}  // namespace qad
