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

Residual make_feed_forward(const ModelConfig& config, const LayerPlace& place, const ParameterMaker& make,
                           bool squared_relu) {
  const std::string& mlp = place.module;
  const std::int64_t hidden = config.hidden_size, inner = config.block(place.index).intermediate_size;
  const auto linear = [&](const char* name, std::int64_t out, std::int64_t in, bool adds_to_residual) {
    return make_linear({mlp + name, out, in, config.mlp_bias, adds_to_residual}, make);
  };
  Residual part = make_residual(config, place, make);
  FeedForward feed_forward;
  LinearGroup& inputs = feed_forward.gate_up;
  inputs.name = mlp + (squared_relu ? ".up_proj" : ".gate_up_proj");
  if (!squared_relu) inputs.members = {linear(".gate_proj", inner, hidden, false)};
  inputs.members.push_back(linear(".up_proj", inner, hidden, false));
  inputs.fed_by = scales_of(part);
  feed_forward.down.name = mlp + ".down_proj";
  feed_forward.down.members = {linear(".down_proj", hidden, inner, true)};
  // Squared, a factor of up does not go on to what comes out.
  if (!squared_relu) feed_forward.down.fed_by = inputs.members.back().weight;
  part.layer = std::make_unique<FeedForwardLayer>(std::move(feed_forward));
  return part;
}

}  // namespace qad
