// The scalar types of the reference kernels: float and double to compare with, and std::complex<double> to
// differentiate by the complex step (a kernel that is analytic in its inputs then gives its derivative in the imaginary
// part).
#pragma once

#include <cmath>
#include <complex>

namespace qad::reference {

template <class T>
double real_part(const T& value) {
  return std::real(value);
}

}  // namespace qad::reference
