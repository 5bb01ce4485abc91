// What a search for number formats found: the format of each group of layers, and KL over bits.
#pragma once

#include "qad/report/summary.h"
#include "qad/report/svg_chart.h"
#include "qad/report/table.h"

namespace qad {

/// A row for each group, with the score of each of its options. Without rows where nothing was searched, as the others.
[[nodiscard]] Table search_table(const RunSummary& summary);
/// A row for each budget, by bits.
[[nodiscard]] Table search_curve_table(const RunSummary& summary);
/// The same as curves: measured with all groups quantized, and what the sum of the groups' scores says.
[[nodiscard]] Chart search_chart(const RunSummary& summary);

}  // namespace qad
