// The floor of a training step: the time of its matrix products alone, all but attention's, each on the fastest of the
// ways that this machine's BLAS offers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "autograd/core/precision.h"
#include "autograd/kernels/gemm.h"
#include "bench/step/workload.h"

namespace qad::bench {

/// C [m, n] = op(A)·op(B), `count` times a step.
struct Product {
  std::string role;  ///< forward, input_gradient or weight_gradient
  kernels::Transpose transpose_a, transpose_b;
  std::int64_t m, n, k;
  std::int64_t count;
  std::int64_t of_codes = 0;  ///< of `count`, those of two NVFP4 operands: a quantized student's forward
  // Measured:
  double seconds = 0;        ///< of one in FP32, or in BF16
  std::string fastest{};     ///< the way that took so long
  double codes_seconds = 0;  ///< of one from codes, where there are any

  [[nodiscard]] double operations() const {
    return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  }
};

/// Teacher and student forward, gradients of inputs and weights, the head included. The forward of a quantized student
/// (not its head) multiplies codes.
[[nodiscard]] std::vector<Product> products_of(const Workload& workload, LanguageModel& model, bool quantized);

/// Fills in what is measured, with the present number of threads; in BF16 where that is asked for and the CPU has it.
void time_products(std::vector<Product>& products, Precision precision);

/// The least time for all of them; `fp32`: as an implementation has it that multiplies no codes.
[[nodiscard]] double floor_seconds(const std::vector<Product>& products, bool fp32);

}  // namespace qad::bench
