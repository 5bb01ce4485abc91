#include "autograd/kernels/losses.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/losses.cpp"
#include <hwy/foreach_target.h>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/kernels/scratch.h"
#include "autograd/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

// A row seen through softmax(x/T): probabilities are e^((x - max)/T) / sum.
struct Softmax {
  float max, inverse_temperature;
  double sum = 0.0;

  Softmax(std::int64_t size, const float* x, float temperature)
      : max(max_element(size, x)), inverse_temperature(1.0f / temperature) {}
  HWY_INLINE Vector centred(Vector x) const { return hn::Mul(hn::Sub(x, set(max)), set(inverse_temperature)); }
  [[nodiscard]] HWY_INLINE float inverse_sum() const { return static_cast<float>(1.0 / sum); }
};

// Sums both rows and returns Σ e^a·(a - b), where a and b are the centred logits of p and r. `keep(at, e^a, e^b)` may
// store the exponentials.
template <class Keep>
HWY_INLINE double divergence_sums(std::int64_t size, const float* p, const float* r, Softmax& of_p, Softmax& of_r,
                                  const Keep& keep) {
  DoubleSum sum_p, sum_r, sum_products;
  each_vector(size, [&](auto at) HWY_ATTR {
    const Vector a = of_p.centred(at.load(p));
    const Vector b = of_r.centred(at.load(r));
    const Vector e_a = at.only_valid(exp(a));
    const Vector e_b = at.only_valid(exp(b));
    sum_p.add(e_a);
    sum_r.add(e_b);
    sum_products.add(hn::Mul(e_a, hn::Sub(a, b)));
    keep(at, e_a, e_b);
  });
  of_p.sum = sum_p.total();
  of_r.sum = sum_r.total();
  return sum_products.total();
}

HWY_INLINE double divergence_sums(std::int64_t size, const float* p, const float* r, Softmax& of_p, Softmax& of_r) {
  return divergence_sums(size, p, r, of_p, of_r, [](auto, Vector, Vector) HWY_ATTR {});
}

// KL(p ‖ r) = Σ p·(log p - log r) = Σ e^a·(a - b) / sum_p - (log sum_p - log sum_r).
double divergence(double sum_of_products, const Softmax& p, const Softmax& r) {
  return sum_of_products / p.sum - (std::log(p.sum) - std::log(r.sum));
}

// loss = T²·KL(t ‖ s);  d/ds = T·(softmax(s) - softmax(t)).
double kl_forward_row(std::int64_t size, const float* teacher, float temperature, float weight, bool gradient,
                      float* student) {
  Softmax t(size, teacher, temperature), s(size, student, temperature);
  double products = 0.0;
  if (gradient) {
    thread_local Scratch<float> scratch;
    float* teacher_exp = scratch.get(size);
    products = divergence_sums(size, teacher, student, t, s, [&](auto at, Vector e_t, Vector e_s) HWY_ATTR {
      at.store(e_t, teacher_exp);
      at.store(e_s, student);
    });
    const Vector factor_s = set(weight * temperature * s.inverse_sum());
    const Vector factor_t = set(weight * temperature * t.inverse_sum());
    each_vector(size, [&](auto at) HWY_ATTR {
      at.store(hn::Sub(hn::Mul(at.load(student), factor_s), hn::Mul(at.load(teacher_exp), factor_t)), student);
    });
  } else {
    products = divergence_sums(size, teacher, student, t, s);
  }
  return static_cast<double>(temperature) * temperature * divergence(products, t, s);
}

// loss = T²·KL(s ‖ t);  d/ds = T·softmax(s)·(log softmax(s) - log softmax(t) - KL).
double kl_reverse_row(std::int64_t size, const float* teacher, float temperature, float weight, bool gradient,
                      float* student) {
  Softmax t(size, teacher, temperature), s(size, student, temperature);
  const double products = divergence_sums(size, student, teacher, s, t);
  if (gradient) {
    // log softmax(s) - log softmax(t) - KL = (a - b) - products / sum_s: the logarithms of the sums cancel.
    const Vector mean = set(static_cast<float>(products / s.sum));
    const Vector factor = set(weight * temperature * s.inverse_sum());
    each_vector(size, [&](auto at) HWY_ATTR {
      const Vector a = s.centred(at.load(student));
      const Vector b = t.centred(at.load(teacher));
      at.store(hn::Mul(hn::Mul(exp(a), factor), hn::Sub(hn::Sub(a, b), mean)), student);
    });
  }
  return static_cast<double>(temperature) * temperature * divergence(products, s, t);
}

double logit_mse_row(std::int64_t size, const float* teacher, float weight, bool gradient, float* student) {
  const Vector factor = set(2.0f * weight / static_cast<float>(size));
  DoubleSum squares;
  each_vector(size, [&](auto at) HWY_ATTR {
    const Vector difference = hn::Sub(at.load(student), at.load(teacher));
    squares.add(hn::Mul(difference, difference));
    if (gradient) at.store(hn::Mul(difference, factor), student);
  });
  return squares.total() / static_cast<double>(size);
}

// loss = log Σ e^s - s[label];  d/ds = softmax(s) - one_hot(label).
double cross_entropy_row(std::int64_t size, std::int32_t label, float weight, bool gradient, float* student) {
  Softmax s(size, student, 1.0f);
  const double label_logit = student[label];
  DoubleSum sum;
  each_vector(size, [&](auto at) HWY_ATTR {
    const Vector e = at.only_valid(exp(s.centred(at.load(student))));
    sum.add(e);
    if (gradient) at.store(e, student);
  });
  s.sum = sum.total();
  if (gradient) {
    const Vector factor = set(weight * s.inverse_sum());
    each_vector(size, [&](auto at) HWY_ATTR { at.store(hn::Mul(at.load(student), factor), student); });
    student[label] -= weight;
  }
  return std::log(s.sum) - (label_logit - s.max);
}

double row_loss_of(RowLoss kind, const RowLossInput& input, std::int64_t row, bool gradient, float* student) {
  const std::int64_t size = input.vocabulary;
  const float* teacher = input.teacher != nullptr ? input.teacher + row * size : nullptr;
  const float weight = input.weights[row];
  switch (kind) {
    case RowLoss::kl_forward: return kl_forward_row(size, teacher, input.temperature, weight, gradient, student);
    case RowLoss::kl_reverse: return kl_reverse_row(size, teacher, input.temperature, weight, gradient, student);
    case RowLoss::logit_mse: return logit_mse_row(size, teacher, weight, gradient, student);
    case RowLoss::cross_entropy: return cross_entropy_row(size, input.labels[row], weight, gradient, student);
  }
  return 0.0;
}

void figures_of_row(std::int64_t size, const float* student, const float* teacher, std::int32_t label, std::int64_t row,
                    const RowFigures& figures) {
  Softmax t(size, teacher, 1.0f), s(size, student, 1.0f);
  const double products = divergence_sums(size, teacher, student, t, s);
  const auto cross_entropy = [&](const Softmax& softmax, const float* x) {
    if (label < 0) return std::numeric_limits<double>::quiet_NaN();
    return std::log(softmax.sum) - (static_cast<double>(x[label]) - softmax.max);
  };
  figures.kl[row] = divergence(products, t, s);
  figures.cross_entropy[row] = cross_entropy(s, student);
  figures.teacher_cross_entropy[row] = cross_entropy(t, teacher);
  figures.same_top1[row] =
      std::find(student, student + size, s.max) - student == std::find(teacher, teacher + size, t.max) - teacher ? 1
                                                                                                                 : 0;
}

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::kernels {

HWY_EXPORT(row_loss_of);
HWY_EXPORT(figures_of_row);

namespace {

std::int64_t rows_per_chunk(std::int64_t vocabulary) { return std::max<std::int64_t>(1, (1 << 13) / vocabulary); }

}  // namespace

void row_loss(RowLoss kind, const RowLossInput& input, bool gradient, float* student, double* losses) {
  const std::int64_t size = input.vocabulary;
  if (size == 0) return;
  parallel_for(input.rows, rows_per_chunk(size), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      float* logits = student + row * size;
      if (input.weights[row] == 0.0f || (kind == RowLoss::cross_entropy && input.labels[row] < 0)) {
        losses[row] = 0.0;
        if (gradient) std::fill_n(logits, size, 0.0f);
      } else {
        losses[row] = HWY_DYNAMIC_DISPATCH(row_loss_of)(kind, input, row, gradient, logits);
      }
    }
  });
}

void row_figures(std::int64_t rows, std::int64_t vocabulary, const float* student, const float* teacher,
                 const std::int32_t* labels, const RowFigures& figures) {
  if (vocabulary == 0) return;
  parallel_for(rows, rows_per_chunk(vocabulary), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) HWY_DYNAMIC_DISPATCH(figures_of_row)
    (vocabulary, student + row * vocabulary, teacher + row * vocabulary, labels[row], row, figures);
  });
}

}  // namespace qad::kernels
#endif
