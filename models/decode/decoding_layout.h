// A model's weights laid out for writing text with it.
#pragma once

#include "models/language_model.h"

namespace qad {

/// Lays BF16 matrices that are never trained (linear layers, a tied embedding) out as single rows read them fastest
/// (autograd/tape/interleaved_operand.h), in memory of its own instead of the file's pages. No bit of a result changes;
/// what multiplies many rows at once takes longer.
void lay_out_for_decoding(LanguageModel& model);

}  // namespace qad
