// A block of a model: what its layers add to the residual stream, one after the other.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/layer.h"

namespace qad {

/// x + layer(norm(x)).
struct Residual {
  ParameterPointer norm;  ///< [C], RMS
  float epsilon = 1e-6f;
  std::unique_ptr<Layer> layer;
  float norm_offset = 0.0f;  ///< as that of rms_norm
};

class Block {
 public:
  using State = std::vector<std::unique_ptr<LayerState>>;  ///< a layer each; null for those that remember nothing

  /// `name` is that of the module: model.layers.0.
  Block(std::string name, std::vector<Residual> parts) : name_(std::move(name)), parts_(std::move(parts)) {}

  [[nodiscard]] const std::string& name() const { return name_; }
  /// x_TC -> [T, C]. `state` is null, or one of make_state's.
  [[nodiscard]] Variable operator()(const Variable& x_TC, const ForwardPlan& plan, const State* state) const;
  void visit(ModuleVisitor& visitor) const;
  [[nodiscard]] State make_state(std::int64_t slots, std::int64_t capacity) const;

 private:
  std::string name_;
  std::vector<Residual> parts_;
};

}  // namespace qad
