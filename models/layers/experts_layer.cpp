#include "models/layers/experts_layer.h"

#include <array>
#include <optional>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/experts.h"
#include "autograd/ops/row_gate.h"
#include "models/layers/make_linear.h"
#include "models/routing.h"

namespace qad {
namespace {

// The expert that every token goes to. Groups of its own, so that rules may give it other formats.
struct SharedExpert {
  LinearGroup inputs;  // gate and up, or up alone
  LinearGroup down;
  ParameterPointer gate;  // [1, C], or null
};

// What the routed experts read and write where that is narrower than the residual stream.
struct NarrowExperts {
  LinearGroup in, out;
};

struct ExpertsParts {
  ParameterPointer router;       // [E, C]
  ParameterPointer choice_bias;  // [E], or null
  std::optional<NarrowExperts> latent;
  LinearGroup inputs;  // gate and up of each expert in turn, or up alone
  LinearGroup down;    // a member each
  std::optional<SharedExpert> shared;
};

class ExpertsLayer final : public Layer {
 public:
  ExpertsLayer(const std::string& name, const ExpertsConfig& config, bool gated, ExpertsParts parts)
      : config_(config),
        width_(gated ? 2 : 1),
        shown_{name, config.num_experts, config.num_experts_per_tok, parts.choice_bias},
        parts_(std::move(parts)) {}

  [[nodiscard]] Variable operator()(const Variable& x_TC, const ForwardPlan& /*plan*/,
                                    LayerState* /*state*/) const override {
    const std::int64_t k = config_.num_experts_per_tok;
    const Routing routing = route(linear(x_TC, parts_.router->operand(), {}), rule());
    if (shown_.listener) shown_.listener(routing);
    const std::vector<RoutedRows> rows = rows_by_expert(routing, config_.num_experts);
    const Variable input = parts_.inputs.input(parts_.latent ? parts_.latent->in(x_TC)[0] : x_TC, hit_by(rows));
    Variable sum(Tensor::zeros(Shape{x_TC.shape().rows(), parts_.down.members.front().out_features()}));
    for (std::size_t e = 0; e < rows.size(); ++e) {
      if (rows[e]->empty()) continue;
      const Variable inner = activated(parts_.inputs, e * width_, gather_tokens(input, rows[e], k));
      const Linear& down = parts_.down.members[e];
      sum = add_routed(std::move(sum), down(parts_.down.input(inner, std::array{&down})), rows[e], routing);
    }
    if (parts_.latent) sum = parts_.latent->out(sum)[0];
    return parts_.shared ? add(shared(x_TC), std::move(sum)) : sum;
  }

  [[nodiscard]] ModuleKind kind() const override { return ModuleKind::experts; }
  void visit(ModuleVisitor& visitor) override {
    visitor.experts(shown_);
    visitor.parameter(parts_.router);
    if (parts_.choice_bias != nullptr) visitor.parameter(parts_.choice_bias);
    if (parts_.latent) qad::visit(parts_.latent->in, visitor);
    qad::visit(parts_.inputs, visitor);
    qad::visit(parts_.down, visitor);
    if (parts_.latent) qad::visit(parts_.latent->out, visitor);
    if (!parts_.shared) return;
    visitor.kind(ModuleKind::shared_experts);
    qad::visit(parts_.shared->inputs, visitor);
    qad::visit(parts_.shared->down, visitor);
    if (parts_.shared->gate != nullptr) visitor.parameter(parts_.shared->gate);
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
            .choice_bias = parts_.choice_bias != nullptr ? as_f32(parts_.choice_bias->value()) : Tensor()};
  }

  // Members of the inputs' group that something goes through.
  [[nodiscard]] std::vector<const Linear*> hit_by(const std::vector<RoutedRows>& rows) const {
    std::vector<const Linear*> hit;
    for (std::size_t i = 0; i < parts_.inputs.members.size(); ++i)
      if (!rows[i / width_]->empty()) hit.push_back(&parts_.inputs.members[i]);
    return hit;
  }

  [[nodiscard]] Variable activated(const LinearGroup& group, std::size_t first, const Variable& x) const {
    const Linear* const member = &group.members[first];
    return width_ == 2 ? swiglu(member[0](x), member[1](x)) : squared_relu(member[0](x));
  }

  [[nodiscard]] Variable shared(const Variable& x_TC) const {
    const SharedExpert& expert = *parts_.shared;
    const Variable inner = activated(expert.inputs, 0, expert.inputs.input(x_TC));
    Variable y = expert.down(inner)[0];
    return expert.gate != nullptr ? gated_rows(y, linear(x_TC, expert.gate->operand(), {})) : y;
  }

  ExpertsConfig config_;
  std::size_t width_;  // members of an expert that read its input
  RoutedExperts shown_;
  ExpertsParts parts_;
};

// Makes the layers of one place.
class Maker {
 public:
  Maker(const ModelConfig& config, const LayerPlace& place, const ExpertNames& names, const ParameterMaker& make)
      : sizes_(*config.experts), hidden_(config.hidden_size), module_(place.module + "."), names_(names), make_(make) {}

  [[nodiscard]] ExpertsParts parts(const ParameterPointer& fed_by) const {
    ExpertsParts parts;
    parts.router = make_({module_ + "gate.weight", {sizes_.num_experts, hidden_}, Role::router});
    if (sizes_.scoring_func == ScoringFunction::sigmoid)
      parts.choice_bias = make_({module_ + "gate.e_score_correction_bias", {sizes_.num_experts}, Role::choice_bias});
    const std::int64_t latent = sizes_.moe_latent_size, width = latent > 0 ? latent : hidden_;
    if (latent > 0)
      parts.latent = {alone("fc1_latent_proj", latent, hidden_, fed_by), alone("fc2_latent_proj", hidden_, latent)};
    parts.inputs = {.name = module_ + "experts." + inputs_name(), .fed_by = latent > 0 ? nullptr : fed_by};
    parts.down.name = module_ + "experts.down_proj";
    const double share = static_cast<double>(sizes_.num_experts_per_tok) / static_cast<double>(sizes_.num_experts);
    for (std::int64_t e = 0; e < sizes_.num_experts; ++e) {
      const std::string expert = module_ + "experts." + std::to_string(e) + ".";
      add_inputs(parts.inputs, expert, {names_.gate, names_.up}, sizes_.moe_intermediate_size, width, share);
      parts.down.members.push_back(down(expert + names_.down, width, sizes_.moe_intermediate_size, latent == 0));
      parts.down.members.back().fused = expert + names_.down;
      parts.down.members.back().token_share = share;
    }
    if (sizes_.shared_width() > 0) parts.shared = shared(fed_by);
    return parts;
  }

 private:
  [[nodiscard]] std::string inputs_name() const { return names_.gate != nullptr ? "gate_up_proj" : "up_proj"; }

  void add_inputs(LinearGroup& group, const std::string& expert, std::initializer_list<const char*> names,
                  std::int64_t inner, std::int64_t in, double share) const {
    for (const char* name : names) {
      if (name == nullptr) continue;
      group.members.push_back(make_linear({.name = expert + name, .out = inner, .in = in}, make_));
      group.members.back().fused = expert + inputs_name();
      group.members.back().token_share = share;
    }
  }

  [[nodiscard]] Linear down(const std::string& name, std::int64_t out, std::int64_t inner, bool to_residual) const {
    return make_linear({.name = name, .out = out, .in = inner, .adds_to_residual = to_residual}, make_);
  }

  [[nodiscard]] LinearGroup alone(const char* name, std::int64_t out, std::int64_t in,
                                  const ParameterPointer& fed_by = nullptr) const {
    LinearGroup group{.name = module_ + name, .fed_by = fed_by};
    group.members = {
        make_linear({.name = group.name, .out = out, .in = in, .adds_to_residual = out == hidden_}, make_)};
    return group;
  }

  [[nodiscard]] SharedExpert shared(const ParameterPointer& fed_by) const {
    const std::string expert = module_ + names_.shared + ".";
    SharedExpert shared{.inputs = {.name = expert + inputs_name(), .fed_by = fed_by}, .down = {}, .gate = nullptr};
    add_inputs(shared.inputs, expert, {names_.gate != nullptr ? "gate_proj" : nullptr, "up_proj"},
               sizes_.shared_width(), hidden_, 1);
    shared.down.name = expert + "down_proj";
    shared.down.members = {down(shared.down.name, hidden_, sizes_.shared_width(), true)};
    // Squared, a factor of up does not go on to what comes out.
    if (names_.gate != nullptr) shared.down.fed_by = shared.inputs.members.back().weight;
    if (names_.shared_gate != nullptr)
      shared.gate = make_({module_ + names_.shared_gate + ".weight", {1, hidden_}, Role::router});
    return shared;
  }

  const ExpertsConfig& sizes_;
  std::int64_t hidden_;
  std::string module_;
  const ExpertNames& names_;
  const ParameterMaker& make_;
};

}  // namespace

Residual make_experts(const ModelConfig& config, const LayerPlace& place, const ExpertNames& names,
                      const ParameterMaker& make) {
  Residual part = make_residual(config, place, make);
  part.layer = std::make_unique<ExpertsLayer>(place.module, *config.experts, names.gate != nullptr,
                                              Maker(config, place, names, make).parts(scales_of(part)));
  return part;
}

}  // namespace qad
