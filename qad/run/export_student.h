// A student as Hugging Face folders: written, read back and compared bit for bit, and measured again from the bytes.
#pragma once

#include <string>
#include <vector>

#include "autograd/base/output_folder.h"
#include "qad/report/summary.h"
#include "qad/run/materials.h"
#include "qad/run/run_folder.h"
#include "qad/run/student.h"

namespace qad {

/// Packs a student that has just been calibrated in every layout that the recipe names: one that can't carry its
/// formats is an Error before the training and not after it.
void check_exports(const Recipe& recipe, const Materials& materials, Student& student);

/// Throws (usage) everything for which a layout has no place in the recipe's student, from sizes and rules alone.
void check_layout(const std::string& format, const Recipe& recipe);

/// Exports the run's best checkpoint in every layout that the recipe names; what is there already is made again.
[[nodiscard]] std::vector<ExportSummary> export_all(const Recipe& recipe, const Materials& materials,
                                                    const RunFolder& folder);
/// The same in some of them.
[[nodiscard]] std::vector<ExportSummary> export_formats(const std::vector<std::string>& formats, const Recipe& recipe,
                                                        const Materials& materials, const RunFolder& folder);

/// Scales that follow the data become those of a last calibration, in which the others quantize as they are; these
/// stay.
void fix_scales(Student& student, const Materials& materials);

/// Writes `student`, its scales fixed, to `out` in one layout, with the config.json of the model that it started from.
/// `run` is run_id of the run that it is of; `shard_bytes` 0: the exporters' own limit.
[[nodiscard]] ExportSummary export_student(const std::string& format, Student& student, const Recipe& recipe,
                                           const Materials& materials, OutputFolder& out, const std::string& run,
                                           std::int64_t shard_bytes = 0);

}  // namespace qad
