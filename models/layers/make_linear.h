// Linear layers from a model's parameters.
#pragma once

#include "models/layer.h"

namespace qad {

struct LinearSpec {
  std::string name;  ///< module name
  std::int64_t out = 0, in = 0;
  bool bias = false;
  bool adds_to_residual = false;
};

[[nodiscard]] Linear make_linear(const LinearSpec& spec, const ParameterMaker& make);

}  // namespace qad
