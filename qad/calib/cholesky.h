// Triangular factors of symmetric matrices, in double, row-major. Sums run in one order whatever the number of threads.
#pragma once

#include <cstdint>
#include <vector>

namespace qad {

/// Overwrites the lower triangle of a [n, n], of which only that is read, with L where a = L·Lᵀ. False where a is not
/// positive definite; a is lost then.
[[nodiscard]] bool cholesky(std::int64_t n, double* a);
/// Overwrites the lower triangle of l [n, n] with that of its inverse.
void invert_lower(std::int64_t n, double* l);

/// The upper triangle U with a⁻¹ = Uᵀ·U, below it zeros, of a matrix of which the lower triangle is read. Empty where a
/// is not positive definite. Row i of U, from its diagonal on, is what GPTQ goes on with after column i: the Cholesky
/// factor of the inverse of a without the rows and columns before i (Frantar et al., 2023,
/// https://arxiv.org/abs/2210.17323, section 3.3).
[[nodiscard]] std::vector<double> inverse_factor(std::int64_t n, const std::vector<double>& a);

}  // namespace qad
