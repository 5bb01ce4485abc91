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

inline double log_of_one_and(double x) { return std::log1p(x); }
inline float log_of_one_and(float x) { return std::log1p(x); }
template <class T>
std::complex<T> log_of_one_and(std::complex<T> x) {
  return {std::log1p(x.real()), x.imag() / (T(1) + x.real())};  // to the first order in the imaginary part
}
/// log(1 + e^x); x itself above 20, where FP32 tells no difference.
template <class T>
T softplus(T x) {
  using std::exp;
  return real_part(x) > 20 ? x : log_of_one_and(exp(x));
}

}  // namespace qad::reference
