// Losses between one row of student logits s and one row of teacher logits t, the definition, each with its gradient
// with respect to s. `gradient` may be null, and overwrites.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "autograd/reference/softmax.h"

namespace qad::reference {

/// loss = T²·Σ_j p_j·(log p_j - log q_j), p = softmax(t/T), q = softmax(s/T);  d/ds = T·(q - p).
template <class T>
T kl_forward(std::int64_t size, double temperature, const T* teacher, const T* student, T* gradient) {
  using std::exp;
  const std::vector<T> log_p = log_softmax(size, teacher, temperature);
  const std::vector<T> log_q = log_softmax(size, student, temperature);
  const T factor = static_cast<T>(temperature);
  T sum(0);
  for (std::size_t j = 0; j < log_p.size(); ++j) {
    sum += exp(log_p[j]) * (log_p[j] - log_q[j]);
    if (gradient != nullptr) gradient[j] = factor * (exp(log_q[j]) - exp(log_p[j]));
  }
  return factor * factor * sum;
}

/// loss = T²·Σ_j q_j·(log q_j - log p_j) = T²·KL;  d/ds = T·q·(log q - log p - KL).
template <class T>
T kl_reverse(std::int64_t size, double temperature, const T* teacher, const T* student, T* gradient) {
  using std::exp;
  const std::vector<T> log_p = log_softmax(size, teacher, temperature);
  const std::vector<T> log_q = log_softmax(size, student, temperature);
  const T factor = static_cast<T>(temperature);
  T kl(0);
  for (std::size_t j = 0; j < log_p.size(); ++j) kl += exp(log_q[j]) * (log_q[j] - log_p[j]);
  for (std::size_t j = 0; gradient != nullptr && j < log_p.size(); ++j)
    gradient[j] = factor * exp(log_q[j]) * (log_q[j] - log_p[j] - kl);
  return factor * factor * kl;
}

/// loss = mean_j (s_j - t_j)²;  d/ds = 2·(s - t) / size.
template <class T>
T logit_mse(std::int64_t size, const T* teacher, const T* student, T* gradient) {
  const T count = static_cast<T>(static_cast<double>(size));
  T sum(0);
  for (std::int64_t j = 0; j < size; ++j) {
    const T difference = student[j] - teacher[j];
    sum += difference * difference;
    if (gradient != nullptr) gradient[j] = T(2) * difference / count;
  }
  return sum / count;
}

/// loss = -log softmax(s)[label];  d/ds = softmax(s) - one_hot(label).
template <class T>
T cross_entropy(std::int64_t size, std::int32_t label, const T* student, T* gradient) {
  using std::exp;
  const std::vector<T> log_q = log_softmax(size, student, 1.0);
  for (std::int64_t j = 0; gradient != nullptr && j < size; ++j)
    gradient[j] = exp(log_q[static_cast<std::size_t>(j)]) - T(j == label ? 1 : 0);
  return -log_q[static_cast<std::size_t>(label)];
}

}  // namespace qad::reference
