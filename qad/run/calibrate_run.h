// Calibration of a run, which goes on where it was stopped or killed.
#pragma once

#include "qad/calib/calibrate_config.h"
#include "qad/run/materials.h"
#include "qad/run/student.h"

namespace qad {

/// Finds the student's scales as the recipe says. What was seen is saved into the run's folder about every half minute
/// and when it is stopped, and taken up from there; the file goes when the run's first checkpoint has the scales. Where
/// an algorithm works by blocks it begins again instead. The scales are the same bits however often that was
/// interrupted.
void calibrate_run(Student& student, const Materials& materials, const RunFolder& folder,
                   const CalibrateConfig& config = {});

}  // namespace qad
