// Products of two matrices of E2M1 codes (NVFP4, MXFP4) from the codes themselves.
//
//   y[m, n] = (Σ_b I(m, n, b) · (x's scale(m, b) · w's scale(n, b))) · (x's tensor scale · w's tensor scale / 4)
//
// I is the sum of a block's products of doubled codes, an integer of at most 13 bits. Two E4M3 scales add 8 bits, two
// powers of two none: each term is exact in FP32, and the sum over blocks, in FP32 and in order of k, is what rounds.
// The tensor scales come once at the end; a result below the smallest normal number is 0. So y has the same bits for
// any instruction set, tile, batch and number of threads, and in any floating-point mode (flush to zero or not).
// integer_product_reference.h is the definition.
#pragma once

#include "qad/formats/interleaved_rows.h"

namespace qad {

/// x·wᵀ [x.rows, w.rows], row-major, to `out`; both are of one format and as wide.
void integer_product(const QuantizedTensor& x, const InterleavedRows& w, float* out);

namespace cpu {
void integer_product(const QuantizedTensor& x, const InterleavedRows& w, float* out);
}

}  // namespace qad
