// The layout in which Hugging Face transformers stores what bitsandbytes quantized to four bits, for NF4 with a scale
// for 64 values, weights alone. Blocks there run on from row to row; with rows of whole blocks, as ours are, they are
// ours.
//
// A quantized layer P, of n = N·K values:
//     P.weight               U8 [n/2, 1]   codes, the even column in the high nibble
//     P.weight.absmax        F32 [n/64]    block scales
//     P.weight.quant_map     F32 [16]      the values of the codes
//     P.weight.quant_state.bitsandbytes__nf4   U8   JSON: shape, block size, the type that readers decode to
// That type and the model's are float32: BF16 can't hold the dequantized weights. All other tensors are F32 too, with
// BF16 values: transformers keeps them in the type of the file, whatever config.json says, and would compute in it.
// Other four-bit checkpoints of bitsandbytes (FP4, scales that are quantized once more, other blocks) can't be read.
//
// Source: bitsandbytes 0.50, functional.py (QuantState) and nn/modules.py; transformers 5.24,
// quantizers/quantizer_bnb_4bit.py.
#pragma once

#include "qad/layouts/export_refusals.h"

namespace qad {

/// Whether the layout has a place for a layer of these formats.
[[nodiscard]] bool holds_bitsandbytes(const LayerFormats& formats);
/// Models with experts.
[[nodiscard]] std::vector<Refusal> refuse_bitsandbytes(const ExportOutline& outline);
void pack_bitsandbytes_tensors(const ExportModel& model, ExportFiles& files);
void pack_bitsandbytes_texts(const ExportModel& model, ExportFiles& files);
[[nodiscard]] ExportModel unpack_bitsandbytes(const ExportFiles& files);

}  // namespace qad
