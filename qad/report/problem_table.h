// Exact match by arm and family, for terminal and report.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "qad/report/table.h"
#include "qad/train/problem_figures.h"

namespace qad {

/// A row's name and its figures.
using ProblemRow = std::pair<std::string, ProblemResults>;

/// A column for each family and the mean with its interval; then, where any row has them, the share won back of what
/// PTQ lost, greedy answers, those that flipped against the teacher's, mean length and the share cut at the length
/// limit. Rows without figures are left out.
[[nodiscard]] Table problem_table(const std::vector<ProblemRow>& rows);

/// One line for people: how many problems, and what the brackets are.
[[nodiscard]] std::string problem_note(const std::vector<ProblemRow>& rows);

}  // namespace qad
