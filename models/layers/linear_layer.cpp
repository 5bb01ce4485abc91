#include "models/layers/linear_layer.h"

#include "models/layers/make_linear.h"

namespace qad {
namespace {

class LinearLayer final : public Layer {
 public:
  LinearLayer(LinearGroup group, ModuleKind kind) : group_(std::move(group)), kind_(kind) {}

  [[nodiscard]] Variable operator()(const Variable& x_TC, const ForwardPlan& /*plan*/,
                                    LayerState* /*state*/) const override {
    return group_(x_TC)[0];
  }
  [[nodiscard]] ModuleKind kind() const override { return kind_; }
  void visit(ModuleVisitor& visitor) override { qad::visit(group_, visitor); }

 private:
  LinearGroup group_;
  ModuleKind kind_;
};

}  // namespace

Residual make_linear_layer(const ModelConfig& config, const LayerPlace& place, ModuleKind kind,
                           const ParameterMaker& make) {
  const std::int64_t hidden = config.hidden_size;
  Residual part = make_residual(config, place, make);
  LinearGroup group{.name = place.module};
  group.members = {make_linear({.name = place.module, .out = hidden, .in = hidden, .adds_to_residual = true}, make)};
  group.fed_by = scales_of(part);
  part.layer = std::make_unique<LinearLayer>(std::move(group), kind);
  return part;
}

}  // namespace qad
