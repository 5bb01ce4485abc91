// Log-softmax of a row, shared by attention and the losses.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "autograd/reference/scalar.h"

namespace qad::reference {

/// log Σ e^x, with the largest element taken out so that nothing overflows (by real part: the result does not depend on
/// it).
template <class T>
T log_sum_exp(std::int64_t size, const T* x) {
  using std::exp;
  using std::log;
  double largest = real_part(x[0]);
  for (std::int64_t i = 1; i < size; ++i)
    if (real_part(x[i]) > largest) largest = real_part(x[i]);
  const T max = static_cast<T>(largest);
  T sum(0);
  for (std::int64_t i = 0; i < size; ++i) sum += exp(x[i] - max);
  return max + log(sum);
}

/// log softmax(x / temperature)
template <class T>
std::vector<T> log_softmax(std::int64_t size, const T* x, double temperature) {
  std::vector<T> out(x, x + size);
  for (T& value : out) value /= static_cast<T>(temperature);
  const T total = log_sum_exp(size, out.data());
  for (T& value : out) value -= total;
  return out;
}

}  // namespace qad::reference
