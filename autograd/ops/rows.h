// Rows of tensors, without a gradient: what decoding keeps and picks.
#pragma once

#include <cstdint>
#include <vector>

#include "autograd/core/tensor.h"

namespace qad {

/// Rows `rows` of `source`, in this order: [rows, cols] of its type.
[[nodiscard]] Tensor gather_rows(const Tensor& source, const std::vector<std::int64_t>& rows);
/// Row i of `source` becomes row rows[i] of `target`, of the same type and width; no row comes twice.
void scatter_rows(const Tensor& source, const std::vector<std::int64_t>& rows, const Tensor& target);

}  // namespace qad
