// Whether files hold a student, bit for bit.
#pragma once

#include "qad/layouts/exporter.h"

namespace qad {

/// Unpacks `files` and compares: dequantized weights with the student's own, dense tensors with theirs in the type of
/// the export, all scales, and which layers are quantized. The first difference is an Error with tensor and index.
void verify_export(const ExportFiles& files, const Exporter& exporter, const ExportModel& student);
/// The same for files that hold a part of a student, under the texts of the whole; scales of keys and values apart.
void verify_part(const ExportFiles& files, const Exporter& exporter, const ExportModel& part);

}  // namespace qad
