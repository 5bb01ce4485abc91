// Rows of one matrix into another, whatever their elements are.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qad::kernels {

/// to[to_rows[i]] = from[from_rows[i]] for i below `rows`, each row of `row_bytes`; null indices are 0, 1, 2, … No row
/// of `to` comes twice.
void copy_rows(std::int64_t rows, std::size_t row_bytes, const std::byte* from, const std::int64_t* from_rows,
               std::byte* to, const std::int64_t* to_rows);

}  // namespace qad::kernels
