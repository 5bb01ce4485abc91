#include "models/layers/linear_layer.h"

#include "models/layers/make_linear.h"

namespace qad {
namespace {

class LinearLayer final : public Layer {
 public:
  explicit LinearLayer(LinearGroup group) : group_(std::move(group)) {}

  [[nodiscard]] Variable operator()(const Variable& x_TC, const ForwardPlan& /*plan*/,
                                    LayerState* /*state*/) const override {
    return group_(x_TC)[0];
  }
  void visit(ModuleVisitor& visitor) override { qad::visit(group_, visitor); }

 private:
  LinearGroup group_;
};

}  // namespace

Residual make_linear_layer(const ModelConfig& config, const LayerPlace& place, const ParameterMaker& make) {
  const std::int64_t hidden = config.hidden_size;
  Residual part = make_residual(config, place, make);
  LinearGroup group{.name = place.module};
  group.members = {make_linear({.name = place.module, .out = hidden, .in = hidden, .adds_to_residual = true}, make)};
  group.fed_by = scales_of(part);
  part.layer = std::make_unique<LinearLayer>(std::move(group));
  return part;
}

}  // namespace qad
