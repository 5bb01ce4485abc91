// Experts that a file keeps in one tensor, as transformers has them in memory: where one of them lies in it.
#pragma once

#include <string>
#include <vector>

#include "autograd/core/shape.h"

namespace qad {

/// A weight [rows, columns] of one expert within [experts, rows of all that reads the same, columns].
struct StackedPlace {
  std::string name;  ///< of the tensor with all of them
  Shape shape;       ///< that it must have
  std::int64_t expert = 0, first_row = 0;

  /// Its first row among all rows of that tensor.
  [[nodiscard]] std::int64_t row() const { return expert * shape[1] + first_row; }
};

/// Where "PREFIX.experts.3.up_proj.weight" of this shape may lie: in PREFIX.experts.gate_up_proj, gates first, or in
/// PREFIX.experts.up_proj. None for a name that is no expert's.
[[nodiscard]] std::vector<StackedPlace> stacked_places(const std::string& name, const Shape& shape,
                                                       std::int64_t experts);

}  // namespace qad
