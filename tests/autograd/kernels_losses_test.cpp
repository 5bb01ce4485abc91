// Losses and figures of rows of logits: fast against definition, gradients against the complex step.
#include <gtest/gtest.h>

#include "autograd/kernels/losses.h"
#include "autograd/reference/losses.h"
#include "tests/support/complex_step.h"
#include "tests/support/near.h"

namespace qad::testing {
namespace {

using kernels::RowLoss;

constexpr RowLoss kKinds[] = {RowLoss::kl_forward, RowLoss::kl_reverse, RowLoss::logit_mse, RowLoss::cross_entropy};
constexpr double kLogitScales[] = {1e-4, 1e-3, 1e-2, 0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0};

template <class T>
T reference_loss(RowLoss kind, std::int64_t size, double temperature, const T* teacher, const T* student,
                 std::int32_t label, T* gradient) {
  switch (kind) {
    case RowLoss::kl_forward: return reference::kl_forward(size, temperature, teacher, student, gradient);
    case RowLoss::kl_reverse: return reference::kl_reverse(size, temperature, teacher, student, gradient);
    case RowLoss::logit_mse: return reference::logit_mse(size, teacher, student, gradient);
    case RowLoss::cross_entropy: return reference::cross_entropy(size, label, student, gradient);
  }
  return T(0);
}

struct Rows {
  std::int64_t rows, vocabulary;
  std::vector<float> teacher, student, weights;
  std::vector<std::int32_t> labels;

  Rows(std::int64_t row_count, std::int64_t size, double scale)
      : rows(row_count),
        vocabulary(size),
        teacher(normal_floats(rows * size, scale, 1)),
        student(normal_floats(rows * size, scale, 2)),
        weights(normal_floats(rows, 1.0, 3)) {
    for (std::int64_t row = 0; row < rows; ++row) labels.push_back(static_cast<std::int32_t>(row * 31 % size));
    if (rows > 2) {
      weights[1] = 0.0f;
      labels[2] = -1;
    }
  }
  [[nodiscard]] kernels::RowLossInput input(double temperature) const {
    return {rows, vocabulary, teacher.data(), labels.data(), weights.data(), static_cast<float>(temperature)};
  }
};

TEST(KernelsRowLoss, EqualsTheDefinition) {
  for (const RowLoss kind : kKinds)
    for (const auto& [count, size] : {std::pair<std::int64_t, std::int64_t>{1, 2}, {5, 37}, {33, 1024}, {4, 5003}})
      for (const double scale : kLogitScales)
        for (const double temperature : {1.0, 2.5}) {
          const Rows rows(count, size, scale);
          auto gradient = rows.student;
          std::vector<double> losses(static_cast<std::size_t>(count), 55.0), only_losses(losses);
          kernels::row_loss(kind, rows.input(temperature), true, gradient.data(), losses.data());
          auto scrap = rows.student;
          kernels::row_loss(kind, rows.input(temperature), false, scrap.data(), only_losses.data());
          expect_same_bits("loss without gradient", only_losses, losses);
          const Real student = doubles(rows.student), teacher = doubles(rows.teacher);
          const double small = 2e-7 * temperature * temperature * std::max(1.0, scale);
          for (std::int64_t row = 0; row < count; ++row) {
            const auto at = static_cast<std::size_t>(row);
            Real expected(static_cast<std::size_t>(size), 0.0);
            double loss = 0.0;
            if (rows.weights[at] != 0.0f && (kind != RowLoss::cross_entropy || rows.labels[at] >= 0)) {
              loss = reference_loss(kind, size, temperature, &teacher[0] + row * size, &student[0] + row * size,
                                    rows.labels[at], expected.data());
              for (double& value : expected) value *= rows.weights[at];
            }
            // A small loss is a difference of two logarithms whose sums are of float exponentials.
            EXPECT_NEAR(losses[at], loss, 2e-6 * std::abs(loss) + small) << "kind " << int(kind) << " row " << row;
            // A gradient is a difference of probabilities: its error is that of the larger one.
            const std::span<const float> got(&gradient[0] + row * size, static_cast<std::size_t>(size));
            const double allowed = 5e-6 * std::max(1.0, scale) * std::abs(rows.weights[at]) * temperature;
            for (std::size_t i = 0; i < expected.size(); ++i)
              ASSERT_NEAR(got[i], expected[i], 1e-5 * std::abs(expected[i]) + allowed)
                  << "kind " << int(kind) << " scale " << scale << " row " << row << " [" << i << "] "
                  << ulps_between(got[i], static_cast<float>(expected[i])) << " ULPs";
          }
        }
}

TEST(KernelsRowLoss, EqualLogitsHaveNoDivergence) {
  Rows rows(4, 1000, 5.0);
  rows.student = rows.teacher;
  for (const RowLoss kind : {RowLoss::kl_forward, RowLoss::kl_reverse, RowLoss::logit_mse}) {
    auto gradient = rows.student;
    std::vector<double> losses(4);
    kernels::row_loss(kind, rows.input(1.0), true, gradient.data(), losses.data());
    for (const double loss : losses) EXPECT_EQ(loss, 0.0);
    for (const float value : gradient) EXPECT_EQ(value, 0.0f);
  }
}

TEST(KernelsRowLoss, FarApartLogitsStayFinite) {
  for (const RowLoss kind : kKinds) {
    Rows rows(1, 50, 1.0);
    rows.student[3] = 3000.0f;
    rows.teacher[7] = 3000.0f;
    auto gradient = rows.student;
    double loss = 0.0;
    kernels::row_loss(kind, rows.input(1.0), true, gradient.data(), &loss);
    EXPECT_TRUE(std::isfinite(loss)) << int(kind);
    for (const float value : gradient) EXPECT_TRUE(std::isfinite(value)) << int(kind);
  }
}

TEST(KernelsRowLoss, BrokenLogitIsNotHidden) {
  for (const RowLoss kind : kKinds)
    for (const float broken : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
      for (const std::size_t at : {0u, 17u, 49u}) {
        Rows rows(1, 50, 1.0);
        rows.student[at] = broken;
        double loss = 0.0;
        kernels::row_loss(kind, rows.input(1.0), false, rows.student.data(), &loss);
        EXPECT_FALSE(std::isfinite(loss)) << int(kind) << " " << broken << " at " << at;
      }
}

TEST(KernelsRowFigures, EqualTheDefinition) {
  const std::int64_t count = 20, size = 777;
  for (const double scale : kLogitScales) {
    Rows rows(count, size, scale);
    for (std::size_t i = 0; i < rows.student.size(); ++i)  // half of the rows agree on their best token
      if (i / static_cast<std::size_t>(size) % 2 == 0) rows.student[i] = 0.999f * rows.teacher[i];
    std::vector<double> kl(20), cross_entropy(20), teacher_cross_entropy(20);
    std::vector<std::uint8_t> same_top1(20);
    kernels::row_figures(count, size, rows.student.data(), rows.teacher.data(), rows.labels.data(),
                         {kl.data(), cross_entropy.data(), teacher_cross_entropy.data(), same_top1.data()});
    const Real student = doubles(rows.student), teacher = doubles(rows.teacher);
    for (std::int64_t row = 0; row < count; ++row) {
      const auto at = static_cast<std::size_t>(row);
      const double *s = &student[0] + row * size, *t = &teacher[0] + row * size;
      const double expected = reference::kl_forward<double>(size, 1.0, t, s, nullptr);
      EXPECT_NEAR(kl[at], expected, 2e-6 * expected + 2e-7 * std::max(1.0, scale));
      EXPECT_EQ(same_top1[at] != 0, std::max_element(s, s + size) - s == std::max_element(t, t + size) - t);
      const std::int32_t label = rows.labels[at];
      if (label < 0) {
        EXPECT_TRUE(std::isnan(cross_entropy[at]) && std::isnan(teacher_cross_entropy[at]));
        continue;
      }
      const double expected_s = reference::cross_entropy<double>(size, label, s, nullptr);
      const double expected_t = reference::cross_entropy<double>(size, label, t, nullptr);
      EXPECT_NEAR(cross_entropy[at], expected_s, 1e-6 * expected_s + 1e-7);
      EXPECT_NEAR(teacher_cross_entropy[at], expected_t, 1e-6 * expected_t + 1e-7);
    }
  }
}

TEST(KernelsRowFigures, TiesGoToTheLowerId) {
  const std::vector<float> student{0, 2, 2, 1}, teacher{0, 1, 1, 1};
  const std::int32_t label = 1;
  double kl = 0, ce = 0, teacher_ce = 0;
  std::uint8_t same = 0;
  kernels::row_figures(1, 4, student.data(), teacher.data(), &label, {&kl, &ce, &teacher_ce, &same});
  EXPECT_EQ(same, 1);
}

TEST(ReferenceLosses, GradientsEqualComplexStep) {
  for (const RowLoss kind : kKinds)
    for (const std::int64_t size : {std::int64_t{2}, std::int64_t{9}})
      for (const double scale : kLogitScales)
        for (const double temperature : {1.0, 2.0}) {
          const Real teacher = normal_doubles(size, scale, 1), student = normal_doubles(size, scale, 2);
          const Imaginary fixed(teacher.begin(), teacher.end());
          Real gradient(student.size());
          reference_loss(kind, size, temperature, teacher.data(), student.data(), 1, gradient.data());
          const Real expected = complex_step_gradient(student, [&](const Imaginary& x) {
            return reference_loss<Complex>(kind, size, temperature, fixed.data(), x.data(), 1, nullptr);
          });
          for (std::size_t i = 0; i < gradient.size(); ++i)  // differences of probabilities: 1e-12 of those
            EXPECT_NEAR(gradient[i], expected[i],
                        1e-12 * (std::abs(expected[i]) + (scale < 1 ? 1.0 : scale) * temperature));
        }
}

TEST(KernelsRowLoss, SameBitsAtAnyThreadCount) {
  for (const RowLoss kind : kKinds) {
    const Rows rows(67, 901, 2.0);
    expect_same_at_any_thread_count("gradient", [&] {
      auto gradient = rows.student;
      std::vector<double> losses(67);
      kernels::row_loss(kind, rows.input(1.0), true, gradient.data(), losses.data());
      std::vector<double> all = doubles(gradient);
      all.insert(all.end(), losses.begin(), losses.end());
      return all;
    });
  }
}

}  // namespace
}  // namespace qad::testing
