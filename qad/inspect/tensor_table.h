// Tensors of a file as tables for people: names with * for the layer's number, one line for all that look alike.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/files/safetensors_header.h"
#include "qad/report/table.h"

namespace qad {

struct TensorLine {
  std::string name, dtype, shape;  ///< as the file says them
  std::int64_t elements = 0, bytes = 0;
};
[[nodiscard]] TensorLine tensor_line(const SafetensorsInfo& info);

/// In the order in which they first come.
[[nodiscard]] Table tensor_table(const std::vector<TensorLine>& tensors);
/// One line a dtype, and the sum.
[[nodiscard]] Table dtype_table(const std::vector<TensorLine>& tensors);

}  // namespace qad
