// Triangular factors against what they are defined by.
#include "qad/calib/cholesky.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/near.h"

namespace qad {
namespace {

// XᵀX of more rows than columns, and a little on the diagonal.
std::vector<double> positive_definite(std::int64_t n) {
  const auto x = testing::normal_doubles(2 * n * n, 1, 3);
  std::vector<double> a(static_cast<std::size_t>(n * n));
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n; ++j)
      for (std::int64_t t = 0; t < 2 * n; ++t)
        a[static_cast<std::size_t>(i * n + j)] +=
            x[static_cast<std::size_t>(t * n + i)] * x[static_cast<std::size_t>(t * n + j)];
  return a;
}

TEST(Cholesky, FactorsAndTheirInversesAreWhatTheyAreDefinedAs) {
  for (const std::int64_t n : {1, 2, 63, 64, 65, 200}) {
    const std::vector<double> a = positive_definite(n);
    const auto at = [n](const std::vector<double>& m, std::int64_t i, std::int64_t j) {
      return m[static_cast<std::size_t>(i * n + j)];
    };
    std::vector<double> l = a;
    ASSERT_TRUE(cholesky(n, l.data()));
    std::vector<double> inverse = l;
    invert_lower(n, inverse.data());
    const std::vector<double> u = inverse_factor(n, a);
    std::vector<double> square(a.size());  // Uᵀ·U
    for (std::int64_t k = 0; k < n; ++k)
      for (std::int64_t j = 0; j < n; ++j)
        for (std::int64_t m = 0; m <= std::min(k, j); ++m)
          square[static_cast<std::size_t>(k * n + j)] += at(u, m, k) * at(u, m, j);
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        double product = 0, identity = 0, of_upper = 0;
        for (std::int64_t k = 0; k <= std::min(i, j); ++k) product += at(l, i, k) * at(l, j, k);
        for (std::int64_t k = j; k <= i; ++k) identity += at(l, i, k) * at(inverse, k, j);
        for (std::int64_t k = 0; k < n; ++k) of_upper += at(a, i, k) * at(square, k, j);
        EXPECT_NEAR(product, at(a, i, j), 1e-12 * static_cast<double>(4 * n)) << n << ": " << i << ", " << j;
        EXPECT_NEAR(identity, i == j ? 1 : 0, 1e-9) << n << ": " << i << ", " << j;
        EXPECT_NEAR(of_upper, i == j ? 1 : 0, 1e-8) << n << ": " << i << ", " << j;
        if (j < i) {
          EXPECT_EQ(at(u, i, j), 0);
        }
      }
  }
}

TEST(Cholesky, SaysThatAMatrixIsNotPositiveDefinite) {
  std::vector<double> a = positive_definite(70);
  for (std::int64_t j = 0; j < 70; ++j)
    a[static_cast<std::size_t>(66 * 70 + j)] = a[static_cast<std::size_t>(j * 70 + 66)] = 0;
  EXPECT_TRUE(inverse_factor(70, a).empty());
  a[66 * 70 + 66] = std::nan("");
  EXPECT_TRUE(inverse_factor(70, a).empty());
}

TEST(Cholesky, HasTheSameBitsOnAnyNumberOfThreads) {
  const auto a = positive_definite(150);
  set_threads(1);
  const auto alone = inverse_factor(150, a);
  set_threads(3);
  EXPECT_EQ(inverse_factor(150, a), alone);
  set_threads(0);
}

}  // namespace
}  // namespace qad
