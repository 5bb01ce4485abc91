#include "qad/calib/cholesky.h"

#include <algorithm>
#include <cmath>

#include "autograd/base/parallel.h"

namespace qad {
namespace {

constexpr std::int64_t kPanel = 64;  // columns at a time
constexpr std::int64_t kFactorRows = 8, kFactorCols = 64;

// y -= factor·x
void subtract(std::int64_t count, double factor, const double* x, double* y) {
  for (std::int64_t i = 0; i < count; ++i) y[i] -= factor * x[i];
}

}  // namespace

bool cholesky(std::int64_t n, double* a) {
  std::vector<double> transposed(static_cast<std::size_t>(kPanel * n));  // of the panel's columns, below it
  for (std::int64_t first = 0; first < n; first += kPanel) {
    const std::int64_t end = std::min(n, first + kPanel), width = end - first;
    for (std::int64_t i = first; i < end; ++i) {
      for (std::int64_t j = first; j <= i; ++j) {
        double sum = a[i * n + j];
        for (std::int64_t k = first; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
        if (j < i) a[i * n + j] = sum / a[j * n + j];
        else if (!(sum > 0) || !std::isfinite(sum)) return false;
        else a[i * n + i] = std::sqrt(sum);
      }
    }
    parallel_for(n - end, kFactorRows, [&](std::int64_t begin, std::int64_t stop) {
      for (std::int64_t i = end + begin; i < end + stop; ++i)
        for (std::int64_t j = first; j < end; ++j) {
          double sum = a[i * n + j];
          for (std::int64_t k = first; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
          a[i * n + j] = sum / a[j * n + j];
          transposed[static_cast<std::size_t>((j - first) * n + i)] = a[i * n + j];
        }
    });
    parallel_for(n - end, kFactorRows, [&](std::int64_t begin, std::int64_t stop) {
      for (std::int64_t i = end + begin; i < end + stop; ++i)
        for (std::int64_t k = 0; k < width; ++k)
          subtract(i + 1 - end, a[i * n + first + k], transposed.data() + k * n + end, a + i * n + end);
    });
  }
  return true;
}

void invert_lower(std::int64_t n, double* l) {
  std::vector<double> inverse(static_cast<std::size_t>(n * n));
  parallel_for(n, kFactorCols, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < n; ++i) {
      double* const row = inverse.data() + i * n;
      const std::int64_t stop = std::min(end, i + 1);
      if (i < end) row[i] = 1;
      for (std::int64_t k = begin; k < i; ++k)
        subtract(std::min(end, k + 1) - begin, l[i * n + k], inverse.data() + k * n + begin, row + begin);
      for (std::int64_t j = begin; j < stop; ++j) row[j] /= l[i * n + i];
    }
  });
  for (std::int64_t i = 0; i < n; ++i) std::copy_n(inverse.data() + i * n, i + 1, l + i * n);
}

// With the order of rows and columns reversed a is L·Lᵀ; reversed again L⁻¹ is upper and the factor that is wanted.
std::vector<double> inverse_factor(std::int64_t n, const std::vector<double>& a) {
  const auto at = [n](std::int64_t i, std::int64_t j) { return static_cast<std::size_t>(i * n + j); };
  std::vector<double> factor(static_cast<std::size_t>(n * n));
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j <= i; ++j) factor[at(i, j)] = a[at(n - 1 - j, n - 1 - i)];
  if (!cholesky(n, factor.data())) return {};
  invert_lower(n, factor.data());
  for (std::int64_t i = 0; i < n; ++i) std::fill_n(factor.begin() + i * n + i + 1, n - i - 1, 0.0);
  std::ranges::reverse(factor);
  return factor;
}

}  // namespace qad
