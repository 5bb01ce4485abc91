// A Table as HTML. A standard error or an interval stands below its figure, so that many columns fit; a table with more
// columns than a window has room for shows each row as a card (html_style.h).
#pragma once

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "qad/report/table.h"

namespace qad {

inline constexpr std::size_t kNoRow = std::numeric_limits<std::size_t>::max();

/// The first column names the row; `colours` gives each row a dot (empty: none).
[[nodiscard]] std::string html_table(const Table& table, const std::vector<int>& colours,
                                     std::size_t best_row = kNoRow);

}  // namespace qad
