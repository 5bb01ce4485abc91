#include "models/layers/gated_delta_net_layer.h"

#include "autograd/ops/delta_rule.h"
#include "autograd/ops/gated_rms_norm.h"
#include "models/layers/make_linear.h"
#include "models/layers/recurrent_state.h"

namespace qad {
namespace {

struct GatedDeltaNetParts {
  LinearGroup wide;    // qkvz, or qkv and z
  LinearGroup narrow;  // ba, or b and a
  ParameterPointer taps, A_log, dt_bias, norm;
  LinearGroup out;
};

// What the projections make, as matrices of their own or columns of one.
struct Projected {
  Variable qkv;
  Columns z, beta, decay;
};

class GatedDeltaNetLayer final : public Layer {
 public:
  GatedDeltaNetLayer(const LinearAttentionConfig& config, float epsilon, GatedDeltaNetParts parts)
      : config_(config), epsilon_(epsilon), parts_(std::move(parts)) {}

  [[nodiscard]] Variable operator()(const Variable& x_TC, const ForwardPlan& plan, LayerState* state) const override {
    const Remembered remembered(state);
    const std::int64_t keys = config_.key_width(), values = config_.value_width();
    const Projected projected =
        parts_.wide.members.size() == 1 ? from_key_heads(x_TC) : apart(parts_.wide(x_TC), parts_.narrow(x_TC));
    const Variable mixed =
        causal_convolution(projected.qkv, parts_.taps->operand(), {}, plan.parts, remembered.history(0));
    const Variable decay = log_decay(projected.decay, parts_.A_log->operand(), parts_.dt_bias->operand());
    const Variable y = delta_rule({mixed, 0, keys}, {mixed, keys, 2 * keys}, {mixed, 2 * keys, 2 * keys + values},
                                  decay, projected.beta,
                                  {.key_heads = config_.num_key_heads,
                                   .value_heads = config_.num_value_heads,
                                   .key_dim = config_.key_head_dim,
                                   .value_dim = config_.value_head_dim},
                                  plan.parts, remembered.states());
    return parts_.out(gated_rms_norm(y, projected.z, parts_.norm->operand(),
                                     {.group = config_.value_head_dim,
                                      .epsilon = epsilon_,
                                      .function = GateFunction::silu,
                                      .place = GatePlace::after_norm}))[0];
  }

  [[nodiscard]] ModuleKind kind() const override { return ModuleKind::linear_attention; }
  void visit(ModuleVisitor& visitor) override {
    qad::visit(parts_.wide, visitor);
    qad::visit(parts_.narrow, visitor);
    for (const ParameterPointer& parameter : {parts_.taps, parts_.A_log, parts_.dt_bias, parts_.norm})
      visitor.parameter(parameter);
    qad::visit(parts_.out, visitor);
  }

  [[nodiscard]] std::unique_ptr<LayerState> make_state(std::int64_t slots, std::int64_t /*capacity*/) const override {
    return std::make_unique<RecurrentState>(
        slots, std::vector<Shape>{{config_.conv_kernel - 1, 2 * config_.key_width() + config_.value_width()}},
        Shape{config_.num_value_heads, config_.key_head_dim, config_.value_head_dim});
  }

 private:
  [[nodiscard]] static Projected apart(const std::vector<Variable>& wide, const std::vector<Variable>& narrow) {
    return {wide[0], wide[1], narrow[0], narrow[1]};
  }

  // Of every key head: q, k, v of its value heads, z of them; b and a of them.
  [[nodiscard]] Projected from_key_heads(const Variable& x_TC) const {
    const std::int64_t heads = config_.num_key_heads, d = config_.key_head_dim;
    const std::int64_t per_head = config_.num_value_heads / heads, v = per_head * config_.value_head_dim;
    const std::int64_t width = 2 * d + 2 * v;
    // The same part of every head, side by side.
    const auto of_heads = [heads](std::int64_t head_width, std::int64_t begin, std::int64_t end,
                                  std::vector<ColumnRange> ranges = {}) {
      for (std::int64_t h = 0; h < heads; ++h) ranges.push_back({h * head_width + begin, h * head_width + end});
      return ranges;
    };
    const Variable wide = parts_.wide(x_TC)[0], narrow = parts_.narrow(x_TC)[0];
    const auto qkv = of_heads(width, 2 * d, 2 * d + v, of_heads(width, d, 2 * d, of_heads(width, 0, d)));
    const Variable b_a =
        arranged(narrow, of_heads(2 * per_head, per_head, 2 * per_head, of_heads(2 * per_head, 0, per_head)));
    const std::int64_t all = config_.num_value_heads;
    return {arranged(wide, qkv), arranged(wide, of_heads(width, 2 * d + v, width)), {b_a, 0, all}, {b_a, all, 2 * all}};
  }

  LinearAttentionConfig config_;
  float epsilon_;
  GatedDeltaNetParts parts_;
};

}  // namespace

Residual make_gated_delta_net(const ModelConfig& config, const LayerPlace& place, DeltaNetProjections projections,
                              const ParameterMaker& make) {
  const LinearAttentionConfig& sizes = *config.linear_attention;
  const std::string& module = place.module;
  const std::int64_t hidden = config.hidden_size, keys = sizes.key_width(), values = sizes.value_width();
  const std::int64_t heads = sizes.num_value_heads, channels = 2 * keys + values;
  const auto linear = [&](const char* name, std::int64_t out, std::int64_t in, bool adds_to_residual = false) {
    return make_linear({.name = module + name, .out = out, .in = in, .adds_to_residual = adds_to_residual}, make);
  };
  const bool apart = projections == DeltaNetProjections::apart;
  Residual part = make_residual(config, place, make);
  GatedDeltaNetParts parts;
  parts.wide = {.name = module + ".in_proj_qkvz", .fed_by = scales_of(part)};
  parts.narrow = {.name = module + ".in_proj_ba", .fed_by = scales_of(part)};
  if (apart) {
    parts.wide.members = {linear(".in_proj_qkv", channels, hidden), linear(".in_proj_z", values, hidden)};
    parts.narrow.members = {linear(".in_proj_b", heads, hidden), linear(".in_proj_a", heads, hidden)};
  } else {
    parts.wide.members = {linear(".in_proj_qkvz", channels + values, hidden)};
    parts.narrow.members = {linear(".in_proj_ba", 2 * heads, hidden)};
  }
  parts.taps = make({module + ".conv1d.weight", {channels, 1, sizes.conv_kernel}, Role::convolution});
  parts.A_log = make({.name = module + ".A_log", .shape = {heads}, .role = Role::decay, .fresh = Fresh::decay});
  parts.dt_bias = make({.name = module + ".dt_bias", .shape = {heads}, .role = Role::decay, .fresh = Fresh::time_step});
  parts.norm = make(norm_weight(module + ".norm", sizes.value_head_dim));
  parts.out = {.name = module + ".out_proj", .members = {linear(".out_proj", hidden, values, true)}};
  part.layer = std::make_unique<GatedDeltaNetLayer>(sizes, static_cast<float>(config.rms_norm_eps), std::move(parts));
  return part;
}

}  // namespace qad
