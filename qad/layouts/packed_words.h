// Integer codes as compressed-tensors' `pack-quantized` has them: words of 32 bits, the first column in the lowest
// bits, every code with half of its range added, so that none is negative; the rest of a row's last word is zero. A row
// takes K·bits/32 words, rounded up, and beside them stands its shape.
//
// Source: compressed-tensors 0.20, compressors/pack_quantized/{base,helpers}.py.
#pragma once

#include "qad/layouts/stored_layer.h"

namespace qad {

extern const PartCode kWeightShape;  ///< I64 [2]: N, K; the words need it
extern const PartCode kPackedWords;  ///< I32 [N, words a row]

}  // namespace qad
