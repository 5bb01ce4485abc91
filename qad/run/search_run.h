// A run that searches for number formats first: what each group of layers costs in each format, what is best within the
// budget, and what that and other budgets give on held-out text.
#pragma once

#include "qad/report/summary.h"
#include "qad/run/materials.h"
#include "qad/run/run_folder.h"

namespace qad {

/// The recipe with rules for what the search found, which then stand in the folder's quantize.yaml; where they stand
/// there, as they are. What was measured is saved into the folder about every half minute and when the search is
/// stopped, and taken up from there: the result is the same bits however often that was.
[[nodiscard]] Recipe search_formats(const Recipe& recipe, const Materials& materials, const RunFolder& folder);

/// Writes quantize.yaml again where it is gone and a whole checkpoint says what was in it.
void bring_back_found(const RunFolder& folder);

/// Adds what a search that is done has measured to the summary of its run, whose figures are there already.
void add_search(const RunFolder& folder, RunSummary& summary);

}  // namespace qad
