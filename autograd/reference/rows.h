// The definition of copying rows.
#pragma once

#include <cstdint>
#include <vector>

namespace qad::reference {

/// `to` [*, cols] with rows to_rows[i] replaced by rows from_rows[i] of `from` [*, cols].
template <class T>
void copy_rows(std::int64_t cols, const std::vector<T>& from, const std::vector<std::int64_t>& from_rows,
               std::vector<T>& to, const std::vector<std::int64_t>& to_rows) {
  for (std::size_t i = 0; i < from_rows.size(); ++i)
    for (std::int64_t c = 0; c < cols; ++c)
      to[static_cast<std::size_t>(to_rows[i] * cols + c)] = from[static_cast<std::size_t>(from_rows[i] * cols + c)];
}

}  // namespace qad::reference
