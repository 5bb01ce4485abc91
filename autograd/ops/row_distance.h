// How far rows are from rows that they should be like.
#pragma once

#include <span>

#include "autograd/tape/variable.h"

namespace qad {

/// loss = Σ_t w_t·|x_t - y_t|² / |y_t|² over the rows of x and y [rows, cols]; rows of weight 0 and rows y_t = 0 are
/// skipped.   dx_t = d·2·w_t·(x_t - y_t) / |y_t|²
[[nodiscard]] Variable row_distance(const Variable& x, const Tensor& y, std::span<const float> row_weights);

}  // namespace qad
