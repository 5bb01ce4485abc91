// The dense twin: an ordinary Hugging Face checkpoint that every reader opens, holding exactly the weights that the
// quantized student multiplies with. In BF16, into which they fit when tensor scales are powers of two; a weight that
// does not fit (tensor_scale.round: none, formats with FP32 scales) is written in FP32, and config.json says float32.
// What it can't say is that inputs and the key/value cache were quantized too.
#pragma once

#include "qad/layouts/exporter.h"

namespace qad {

/// True: its weights are those of any format, dequantized.
[[nodiscard]] bool holds_dense(const LayerFormats& formats);
void pack_dense_tensors(const ExportModel& model, ExportFiles& files);
void pack_dense_texts(const ExportModel& model, ExportFiles& files);
[[nodiscard]] ExportModel unpack_dense(const ExportFiles& files);

}  // namespace qad
