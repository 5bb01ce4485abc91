// Numbers for kernel tests, and comparisons that say where two arrays differ and by how many units in the last place.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "autograd/base/parallel.h"
#include "autograd/base/random.h"

namespace qad::testing {

/// Standard normal numbers times `scale`; another `stream`, other numbers.
inline std::vector<float> normal_floats(std::int64_t size, double scale, std::uint64_t stream) {
  Random random(17, stream);
  std::vector<float> out(static_cast<std::size_t>(size));
  for (float& value : out) value = static_cast<float>(scale * random.normal());
  return out;
}

inline std::vector<double> doubles(std::span<const float> values) { return {values.begin(), values.end()}; }
inline std::vector<double> normal_doubles(std::int64_t size, double scale, std::uint64_t stream) {
  return doubles(normal_floats(size, scale, stream));
}

/// Steps between neighbouring floats from a to b.
inline std::int64_t ulps_between(float a, float b) {
  const auto ordered = [](float value) {
    const auto bits = std::bit_cast<std::int32_t>(value);
    return static_cast<std::int64_t>(bits < 0 ? std::int32_t{-0x7fffffff - 1} - bits : bits);
  };
  return std::abs(ordered(a) - ordered(b));
}

/// |fast - reference| ≤ tolerance·(|reference| + largest |reference|) everywhere; the worst element is reported.
inline void expect_near(const std::string& what, std::span<const float> fast, std::span<const double> reference,
                        double tolerance) {
  ASSERT_EQ(fast.size(), reference.size()) << what;
  double largest = 0;
  for (const double value : reference) largest = std::max(largest, std::abs(value));
  double worst = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < fast.size(); ++i) {
    const double allowed = tolerance * (std::abs(reference[i]) + largest);
    const double error = std::abs(fast[i] - reference[i]);
    const double excess = error == 0 ? 0 : error / allowed;
    if (!(excess <= worst)) worst = excess, at = i;
    if (std::isnan(excess)) break;
  }
  EXPECT_LE(worst, 1.0) << what << "[" << at << "]: fast " << fast[at] << ", reference " << reference[at] << ", "
                        << ulps_between(fast[at], static_cast<float>(reference[at])) << " ULPs, largest " << largest;
}

template <class T>
void expect_same_bits(const std::string& what, const std::vector<T>& a, const std::vector<T>& b) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (std::size_t i = 0; i < a.size(); ++i)
    ASSERT_EQ(std::memcmp(&a[i], &b[i], sizeof(T)), 0) << what << "[" << i << "]: " << a[i] << " and " << b[i];
}

/// Runs `compute`, which returns a vector, on 1, 2 and 3 threads and expects the same bits.
template <class Compute>
void expect_same_at_any_thread_count(const std::string& what, Compute&& compute) {
  const int before = threads();
  set_threads(1);
  const auto one = compute();
  for (const int count : {2, 3}) {
    set_threads(count);
    expect_same_bits(what + " on " + std::to_string(count) + " threads", compute(), one);
  }
  set_threads(before);
}

}  // namespace qad::testing
