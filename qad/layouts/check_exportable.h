// What makes an export wrong in every layout, looked for before anything is written: each of these has once cost users
// of other programs a model that loads and talks nonsense.
#pragma once

#include "qad/layouts/exporter.h"

namespace qad {

/// Throws, naming the first layer or tensor at fault: layers that engines run as one and that do not share their
/// scales, or are quantized in part; layers that read one input (the experts of a layer do) and quantize it in two
/// ways; a scale that is zero, negative or not finite; a packed router, convolution or norm; a quantized input before a
/// plain weight; a name among those that stay as they are for which there is no matrix; values that BF16 does not hold.
void check_exportable(const ExportModel& student);
/// The same of values alone, for a part of a student that has whole groups; and of names alone, for all of it.
void check_part(const ExportModel& part);
void check_names(const ExportModel& student);

}  // namespace qad
