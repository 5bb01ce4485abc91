// A matrix in FP32 a few rows at a time: of one that is kept in another type no whole copy is made.
#pragma once

#include <algorithm>
#include <cstdint>

#include "autograd/core/tensor.h"

namespace qad {

/// Calls visit(first row, [rows, cols] in FP32) from the first row to the last; once, with the matrix itself, where it
/// is FP32.
template <class Visit>
void for_rows_in_f32(const Tensor& matrix, Visit&& visit) {
  constexpr std::int64_t kValues = std::int64_t{1} << 19;  // which caches hold
  const std::int64_t rows = matrix.shape()[0],
                     cols = std::max<std::int64_t>(matrix.size() / std::max<std::int64_t>(rows, 1), 1);
  const std::int64_t step =
      matrix.dtype() == DType::f32 ? std::max<std::int64_t>(rows, 1) : std::max<std::int64_t>(kValues / cols, 1);
  for (std::int64_t begin = 0; begin < rows; begin += step)
    visit(begin, as_f32(matrix.slice(begin, std::min(begin + step, rows))));
}

}  // namespace qad
