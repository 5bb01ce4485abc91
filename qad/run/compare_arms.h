// The arms of a comparison, one after the other, each a run of its own in the comparison's folder.
#pragma once

#include "qad/report/summary.h"
#include "qad/run/materials.h"
#include "qad/run/run_folder.h"

namespace qad {

/// Runs what is not complete yet. Of several learning rates of an arm the best one by selection_score becomes its row.
/// The first row is the teacher itself. The exports are those of the best QAD arm. The teacher's answers to
/// evaluate.problems are added to `materials`.
RunSummary compare_arms(const Recipe& recipe, const RunFolder& folder, Materials& materials);

}  // namespace qad
