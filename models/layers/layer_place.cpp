#include "models/layers/layer_place.h"

namespace qad {

ParameterSpec norm_weight(const std::string& name, std::int64_t size, float offset) {
  return {.name = name + ".weight",
          .shape = {size},
          .role = Role::norm,
          .fresh = offset == 1.0f ? Fresh::zeros : Fresh::by_role};
}

Residual make_residual(const ModelConfig& config, const LayerPlace& place, const ParameterMaker& make) {
  return {make(norm_weight(place.norm, config.hidden_size, place.norm_offset)), static_cast<float>(config.rms_norm_eps),
          nullptr, place.norm_offset};
}

ParameterPointer scales_of(const Residual& part) { return part.norm_offset == 0.0f ? part.norm : nullptr; }

}  // namespace qad
