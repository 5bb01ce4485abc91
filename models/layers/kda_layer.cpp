#include "models/layers/kda_layer.h"

#include <array>

#include "autograd/ops/delta_rule.h"
#include "autograd/ops/gated_rms_norm.h"
#include "models/layers/make_linear.h"
#include "models/layers/recurrent_state.h"

namespace qad {
namespace {

struct KdaParts {
  LinearGroup qkv;                       // members q, k, v
  std::array<ParameterPointer, 3> taps;  // of the convolutions of q, k and v
  LinearGroup narrow;                    // members f_a, b, g_a
  LinearGroup decay, gate;               // f_b, g_b
  ParameterPointer A_log, dt_bias, norm;
  LinearGroup out;
};

class KdaLayer final : public Layer {
 public:
  KdaLayer(const LinearAttentionConfig& config, float epsilon, KdaParts parts)
      : config_(config), epsilon_(epsilon), parts_(std::move(parts)) {}

  [[nodiscard]] Variable operator()(const Variable& x_TC, const ForwardPlan& plan, LayerState* state) const override {
    const Remembered remembered(state);
    std::vector<Variable> qkv = parts_.qkv(x_TC);
    for (std::size_t i = 0; i < qkv.size(); ++i)
      qkv[i] = causal_convolution(qkv[i], parts_.taps[i]->operand(), {}, plan.parts, remembered.history(i));
    const std::vector<Variable> narrow = parts_.narrow(x_TC);
    const Variable decay = log_decay(parts_.decay(narrow[0])[0], parts_.A_log->operand(), parts_.dt_bias->operand());
    const Variable y = delta_rule(qkv[0], qkv[1], qkv[2], decay, narrow[1],
                                  {.key_heads = config_.num_key_heads,
                                   .value_heads = config_.num_value_heads,
                                   .key_dim = config_.key_head_dim,
                                   .value_dim = config_.value_head_dim},
                                  plan.parts, remembered.states());
    return parts_.out(gated_rms_norm(y, parts_.gate(narrow[2])[0], parts_.norm->operand(),
                                     {.group = config_.value_head_dim,
                                      .epsilon = epsilon_,
                                      .function = GateFunction::sigmoid,
                                      .place = GatePlace::after_norm}))[0];
  }

  [[nodiscard]] ModuleKind kind() const override { return ModuleKind::linear_attention; }
  void visit(ModuleVisitor& visitor) override {
    qad::visit(parts_.qkv, visitor);
    for (const ParameterPointer& taps : parts_.taps) visitor.parameter(taps);
    qad::visit(parts_.narrow, visitor);
    qad::visit(parts_.decay, visitor);
    visitor.parameter(parts_.A_log);
    visitor.parameter(parts_.dt_bias);
    qad::visit(parts_.gate, visitor);
    visitor.parameter(parts_.norm);
    qad::visit(parts_.out, visitor);
  }

  [[nodiscard]] std::unique_ptr<LayerState> make_state(std::int64_t slots, std::int64_t /*capacity*/) const override {
    const Shape keys{config_.conv_kernel - 1, config_.key_width()};
    return std::make_unique<RecurrentState>(
        slots, std::vector<Shape>{keys, keys, {config_.conv_kernel - 1, config_.value_width()}},
        Shape{config_.num_value_heads, config_.key_head_dim, config_.value_head_dim});
  }

 private:
  LinearAttentionConfig config_;
  float epsilon_;
  KdaParts parts_;
};

}  // namespace

Residual make_kda(const ModelConfig& config, const LayerPlace& place, const ParameterMaker& make) {
  const LinearAttentionConfig& sizes = *config.linear_attention;
  const std::string& self = place.module;
  const std::int64_t hidden = config.hidden_size, keys = sizes.key_width(), values = sizes.value_width();
  const std::int64_t heads = sizes.num_value_heads, narrow = sizes.key_head_dim;
  const auto linear = [&](const char* name, std::int64_t out, std::int64_t in, bool adds_to_residual = false) {
    return make_linear({.name = self + name, .out = out, .in = in, .adds_to_residual = adds_to_residual}, make);
  };
  const auto taps = [&](const char* name, std::int64_t channels) {
    return make({self + name + ".weight", {channels, 1, sizes.conv_kernel}, Role::convolution});
  };
  Residual part = make_residual(config, place, make);
  const ParameterPointer fed_by = scales_of(part);
  KdaParts parts;
  parts.qkv = {
      .name = self + ".qkv_proj",
      .members = {linear(".q_proj", keys, hidden), linear(".k_proj", keys, hidden), linear(".v_proj", values, hidden)},
      .fed_by = fed_by};
  parts.taps = {taps(".q_conv1d", keys), taps(".k_conv1d", keys), taps(".v_conv1d", values)};
  parts.narrow = {.name = self + ".fbg_a_proj",
                  .members = {linear(".f_a_proj", narrow, hidden), linear(".b_proj", heads, hidden),
                              linear(".g_a_proj", narrow, hidden)},
                  .fed_by = fed_by};
  parts.decay = {.name = self + ".f_b_proj", .members = {linear(".f_b_proj", keys, narrow)}};
  parts.A_log = make({.name = self + ".A_log", .shape = {1, 1, heads, 1}, .role = Role::decay, .fresh = Fresh::decay});
  parts.dt_bias = make({.name = self + ".dt_bias", .shape = {keys}, .role = Role::decay, .fresh = Fresh::time_step});
  parts.gate = {.name = self + ".g_b_proj", .members = {linear(".g_b_proj", values, narrow)}};
  parts.norm = make(norm_weight(self + ".o_norm", sizes.value_head_dim));
  parts.out = {.name = self + ".o_proj", .members = {linear(".o_proj", hidden, values, true)}};
  part.layer = std::make_unique<KdaLayer>(sizes, static_cast<float>(config.rms_norm_eps), std::move(parts));
  return part;
}

}  // namespace qad
