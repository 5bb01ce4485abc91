#include "models/layers/feed_forward_layer.h"

#include "autograd/nn/feed_forward.h"
#include "models/layers/make_linear.h"

namespace qad {
namespace {

class FeedForwardLayer final : public Layer {
 public:
  explicit FeedForwardLayer(FeedForward feed_forward) : feed_forward_(std::move(feed_forward)) {}

  [[nodiscard]] Variable operator()(const Variable& x_TC, const ForwardPlan& /*plan*/,
                                    LayerState* /*state*/) const override {
    return feed_forward_(x_TC);
  }
  [[nodiscard]] ModuleKind kind() const override { return ModuleKind::feed_forward; }
  void visit(ModuleVisitor& visitor) override {
    qad::visit(feed_forward_.gate_up, visitor);
    qad::visit(feed_forward_.down, visitor);
  }

 private:
  FeedForward feed_forward_;
};

}  // namespace

Residual make_feed_forward(const ModelConfig& config, std::int64_t index, const ParameterMaker& make) {
  const std::string prefix = "model.layers." + std::to_string(index), mlp = prefix + ".mlp";
  const std::int64_t hidden = config.hidden_size, inner = config.block(index).intermediate_size;
  const auto linear = [&](const char* name, std::int64_t out, std::int64_t in, bool adds_to_residual) {
    return make_linear({mlp + name, out, in, config.mlp_bias, adds_to_residual}, make);
  };
  Residual part{make({prefix + ".post_attention_layernorm.weight", {hidden}, Role::norm}),
                static_cast<float>(config.rms_norm_eps), nullptr};
  FeedForward feed_forward;
  feed_forward.gate_up.name = mlp + ".gate_up_proj";
  feed_forward.gate_up.members = {linear(".gate_proj", inner, hidden, false), linear(".up_proj", inner, hidden, false)};
  feed_forward.gate_up.fed_by = part.norm;
  feed_forward.down.name = mlp + ".down_proj";
  feed_forward.down.members = {linear(".down_proj", hidden, inner, true)};
  feed_forward.down.fed_by = feed_forward.gate_up.members[1].weight;
  part.layer = std::make_unique<FeedForwardLayer>(std::move(feed_forward));
  return part;
}

}  // namespace qad
