// One run from its recipe to its summary: what `run`, `resume` and each arm of `compare` do.
#pragma once

#include <functional>

#include "qad/report/summary.h"
#include "qad/run/materials.h"
#include "qad/run/run_folder.h"
#include "qad/train/events.h"

namespace qad {

/// What a run is part of: a comparison.
struct AroundRun {
  RunListener* listener = nullptr;
  std::function<double()> seconds_left_in_all = {};
};

/// Begins, or goes on where the newest whole checkpoint of the folder stands; then exports and writes the summary.
/// Throws Stopped where a signal stops it; its steps so far are then in a checkpoint.
RunSummary run_one(const Recipe& recipe, const Materials& materials, const RunFolder& folder, const std::string& name,
                   const AroundRun& around = {});

}  // namespace qad
