// The floor of a training step: the time of its matrix products alone, all but attention's, each on the fastest of the
// ways that this machine's BLAS offers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "autograd/kernels/gemm.h"
#include "bench/step/workload.h"

namespace qad::bench {

/// C [m, n] = op(A)·op(B), `count` times a step.
struct Product {
  std::string role;  ///< forward, input_gradient or weight_gradient
  kernels::Transpose transpose_a, transpose_b;
  std::int64_t m, n, k;
  std::int64_t count;
  // Measured:
  double seconds = 0;     ///< of one
  std::string fastest{};  ///< the way that took so long

  [[nodiscard]] double operations() const {
    return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  }
};

/// Teacher and student forward, gradients of inputs and weights, the head included.
[[nodiscard]] std::vector<Product> products_of(const Workload& workload, LanguageModel& model);

/// Fills in `seconds` and `fastest` with the present number of threads.
void time_products(std::vector<Product>& products);

[[nodiscard]] double floor_seconds(const std::vector<Product>& products);

}  // namespace qad::bench
