#include "models/layers/attention_layer.h"

#include "models/layers/key_value_state.h"
#include "models/layers/make_linear.h"

namespace qad {
namespace {

class AttentionLayer final : public Layer {
 public:
  AttentionLayer(SelfAttention attention, std::shared_ptr<Rotary> rotary)
      : attention_(std::move(attention)), rotary_(std::move(rotary)) {}

  [[nodiscard]] Variable operator()(const Variable& x_TC, const ForwardPlan& plan, LayerState* state) const override {
    const auto with = [&](Segments segments) {
      return AttentionPlan{plan.positions, std::make_shared<const Segments>(std::move(segments)),
                           rotary_ != nullptr ? rotary_->up_to(plan.longest) : RotaryTable()};
    };
    if (state == nullptr) return attention_(x_TC, with(segments_within_batch(*plan.parts)), nullptr);
    const auto& cache = dynamic_cast<const KeyValueState&>(*state);
    const LayerCache rows{cache.keys, cache.values, cache.rows(*plan.parts)};
    return attention_(x_TC, with(cache.segments(*plan.parts)), &rows);
  }

  [[nodiscard]] ModuleKind kind() const override { return ModuleKind::attention; }
  void visit(ModuleVisitor& visitor) override {
    visitor.attention(attention_);
    qad::visit(attention_.qkv, visitor);
    for (const ParameterPointer& norm : {attention_.q_norm, attention_.k_norm})
      if (norm != nullptr) visitor.parameter(norm);
    qad::visit(attention_.output, visitor);
  }

  [[nodiscard]] std::unique_ptr<LayerState> make_state(std::int64_t slots, std::int64_t capacity) const override {
    return std::make_unique<KeyValueState>(slots, capacity, attention_.config.kv_heads * attention_.config.head_dim);
  }

 private:
  SelfAttention attention_;
  std::shared_ptr<Rotary> rotary_;
};

}  // namespace

Residual make_attention(const ModelConfig& config, const LayerPlace& place, const std::shared_ptr<Rotary>& rotary,
                        const ParameterMaker& make, bool gated) {
  const std::string& self = place.module;
  const std::int64_t hidden = config.hidden_size, head = config.head_size();
  const std::int64_t kv_heads = config.block(place.index).num_key_value_heads;
  const std::int64_t q_width = config.num_attention_heads * head, kv_width = kv_heads * head;
  const auto epsilon = static_cast<float>(config.rms_norm_eps);
  const auto projection = [&](const char* name, std::int64_t out) {
    return make_linear({.name = self + name, .out = out, .in = hidden, .bias = config.attention_bias}, make);
  };
  Residual part = make_residual(config, place, make);
  SelfAttention attention;
  attention.name = self;
  attention.config = {config.num_attention_heads, kv_heads, head, config.window_of(place.index)};
  attention.norm_epsilon = epsilon;
  attention.norm_offset = place.norm_offset;
  attention.gated = gated;
  attention.qkv.name = self + ".qkv_proj";
  attention.qkv.members = {projection(".q_proj", gated ? 2 * q_width : q_width), projection(".k_proj", kv_width),
                           projection(".v_proj", kv_width)};
  attention.qkv.fed_by = scales_of(part);
  if (config.qk_norm) {
    attention.q_norm = make(norm_weight(self + ".q_norm", head, place.norm_offset));
    attention.k_norm = make(norm_weight(self + ".k_norm", head, place.norm_offset));
  }
  attention.output.name = self + ".o_proj";
  attention.output.members = {make_linear({.name = self + ".o_proj",
                                           .out = hidden,
                                           .in = q_width,
                                           .bias = config.attention_output_bias,
                                           .adds_to_residual = true},
                                          make)};
  attention.output.fed_by = attention.qkv.members[2].weight;
  part.layer = std::make_unique<AttentionLayer>(std::move(attention), rotary);
  return part;
}

}  // namespace qad
