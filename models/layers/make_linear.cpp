#include "models/layers/make_linear.h"

namespace qad {

Linear make_linear(const LinearSpec& spec, const ParameterMaker& make) {
  Linear linear{spec.name, nullptr, nullptr};
  linear.weight = make({spec.name + ".weight", {spec.out, spec.in}, Role::weight, spec.adds_to_residual});
  if (spec.bias) linear.bias = make({spec.name + ".bias", {spec.out}, Role::bias});
  return linear;
}

}  // namespace qad
