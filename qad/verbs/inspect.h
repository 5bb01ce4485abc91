// `qad inspect`: what is in a file or folder: tensors, element types, scales, bits a weight.
#pragma once

#include <filesystem>
#include <iosfwd>

#include "autograd/base/error.h"

namespace qad::verbs {

struct InspectOptions {
  std::filesystem::path file;  ///< a checkpoint, a .safetensors file, a model folder, a run's folder or a recipe
  bool json = false;           ///< one JSON object instead of the tables (inspect_json.h)
};

/// Damage is an Error that names what is damaged.
ExitCode inspect(const InspectOptions& options, std::ostream& print);

}  // namespace qad::verbs
