// The inner loops of block_scales.h. Highway chooses the instruction set at run time; the bits are the same under all.
#pragma once

#include <cstdint>

namespace qad::simd {

/// out[j] = Σi d[i]·m[i, j] with m [count, count]: products and sums rounded one by one, in order of i.
void row_times_square(const double* d, const double* m, std::int64_t count, double* out);
/// errors[i] = E2M1(x[i] / scale) · scale - x[i], the product in FP32; x finite, scale above 0.
void rounding_errors_of_e2m1(const float* x, std::int64_t count, float scale, double* errors);

}  // namespace qad::simd
