// A run that is complete but for what was lost since, or was never made because the process ended just then.
#pragma once

#include <functional>
#include <string>

#include "qad/report/summary.h"
#include "qad/run/materials.h"
#include "qad/run/run_folder.h"

namespace qad {

/// Makes again what a run with a summary.json should have and lacks: exports that are missing or unfinished, answers,
/// report.html, the event file. `materials` is asked only where a model is needed for it. Returns the summary. Throws
/// where an export has been changed or damaged: what somebody may have done on purpose is not undone.
RunSummary make_complete(const Recipe& recipe, const RunFolder& folder, const std::string& name,
                         const std::function<const Materials&()>& materials);

}  // namespace qad
