#include "models/layers/mamba_layer.h"

#include "autograd/ops/gated_rms_norm.h"
#include "autograd/ops/state_space_scan.h"
#include "models/layers/make_linear.h"
#include "models/layers/recurrent_state.h"

namespace qad {
namespace {

struct MambaParts {
  LinearGroup in, out;
  ParameterPointer taps, tap_bias;  // of the convolution; the bias may be null
  ParameterPointer A_log, D, dt_bias;
  ParameterPointer norm;
};

class MambaLayer final : public Layer {
 public:
  MambaLayer(const MambaConfig& config, float epsilon, MambaParts parts)
      : config_(config), epsilon_(epsilon), parts_(std::move(parts)) {}

  [[nodiscard]] Variable operator()(const Variable& x_TC, const ForwardPlan& plan, LayerState* state) const override {
    const Remembered remembered(state);
    const std::int64_t inner = config_.inner(), mixed_end = inner + config_.conv_width();
    const Variable projected = parts_.in(x_TC)[0];  // [T, z | x, B, C | dt]
    const ParameterOperand tap_bias = parts_.tap_bias != nullptr ? parts_.tap_bias->operand() : ParameterOperand();
    const Variable mixed = causal_convolution({projected, inner, mixed_end}, parts_.taps->operand(), tap_bias,
                                              plan.parts, remembered.history(0));
    const StateSpaceShape shape = {.heads = config_.num_heads,
                                   .head_dim = config_.head_dim,
                                   .groups = config_.n_groups,
                                   .state = config_.state_size,
                                   .step_low = config_.time_step_low,
                                   .step_high = config_.time_step_high};
    const Variable y = state_space_scan(mixed, {projected, mixed_end, mixed_end + config_.num_heads},
                                        {parts_.A_log->operand(), parts_.D->operand(), parts_.dt_bias->operand()},
                                        shape, plan.parts, remembered.states());
    return parts_.out(gated_rms_norm(y, {projected, 0, inner}, parts_.norm->operand(),
                                     {.group = inner / config_.n_groups,
                                      .epsilon = epsilon_,
                                      .function = GateFunction::silu,
                                      .place = GatePlace::before_norm}))[0];
  }

  [[nodiscard]] ModuleKind kind() const override { return ModuleKind::mamba; }
  void visit(ModuleVisitor& visitor) override {
    qad::visit(parts_.in, visitor);
    visitor.parameter(parts_.taps);
    if (parts_.tap_bias != nullptr) visitor.parameter(parts_.tap_bias);
    for (const ParameterPointer& parameter : {parts_.A_log, parts_.D, parts_.dt_bias, parts_.norm})
      visitor.parameter(parameter);
    qad::visit(parts_.out, visitor);
  }

  [[nodiscard]] std::unique_ptr<LayerState> make_state(std::int64_t slots, std::int64_t /*capacity*/) const override {
    return std::make_unique<RecurrentState>(slots, std::vector<Shape>{{config_.conv_kernel - 1, config_.conv_width()}},
                                            Shape{config_.num_heads, config_.state_size, config_.head_dim});
  }

 private:
  MambaConfig config_;
  float epsilon_;
  MambaParts parts_;
};

}  // namespace

Residual make_mamba(const ModelConfig& config, const LayerPlace& place, const ParameterMaker& make) {
  const MambaConfig& sizes = *config.mamba;
  const std::string& module = place.module;
  const std::int64_t hidden = config.hidden_size, inner = sizes.inner(), channels = sizes.conv_width();
  const auto by_head = [&](const char* name, Fresh fresh) {
    return make({.name = module + name, .shape = {sizes.num_heads}, .role = Role::decay, .fresh = fresh});
  };
  const auto group = [&](const char* name, std::int64_t out, std::int64_t in, bool adds_to_residual) {
    LinearGroup one{.name = module + name};
    one.members = {make_linear(
        {.name = one.name, .out = out, .in = in, .bias = sizes.proj_bias, .adds_to_residual = adds_to_residual}, make)};
    return one;
  };
  Residual part = make_residual(config, place, make);
  MambaParts parts;
  parts.in = group(".in_proj", inner + channels + sizes.num_heads, hidden, false);
  parts.in.fed_by = scales_of(part);
  parts.taps = make({module + ".conv1d.weight", {channels, 1, sizes.conv_kernel}, Role::convolution});
  if (sizes.conv_bias) parts.tap_bias = make({module + ".conv1d.bias", {channels}, Role::bias});
  parts.A_log = by_head(".A_log", Fresh::decay);
  parts.D = by_head(".D", Fresh::ones);
  parts.dt_bias = by_head(".dt_bias", Fresh::time_step);
  parts.norm = make(norm_weight(module + ".norm", inner));
  parts.out = group(".out_proj", hidden, inner, true);
  parts.out.fed_by = parts.norm;
  part.layer = std::make_unique<MambaLayer>(sizes, static_cast<float>(config.rms_norm_eps), std::move(parts));
  return part;
}

}  // namespace qad
