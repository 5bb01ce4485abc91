// AdamW over several steps: fast against definition.
#include <gtest/gtest.h>

#include "autograd/kernels/adamw.h"
#include "autograd/reference/adamw.h"
#include "tests/support/complex_step.h"
#include "tests/support/near.h"

namespace qad::testing {
namespace {

kernels::AdamWUpdate update_at(std::int64_t step, float weight_decay, float gradient_scale) {
  const float beta1 = 0.9f, beta2 = 0.95f;
  return {.learning_rate = 1e-2f,
          .beta1 = beta1,
          .beta2 = beta2,
          .epsilon = 1e-8f,
          .weight_decay = weight_decay,
          .bias_correction1 = static_cast<float>(1 - std::pow(static_cast<double>(beta1), step)),
          .bias_correction2 = static_cast<float>(1 - std::pow(static_cast<double>(beta2), step)),
          .gradient_scale = gradient_scale};
}

TEST(KernelsAdamW, EqualsTheDefinition) {
  for (const std::int64_t size : {1, 15, 16, 40001})
    for (const double scale : {1e-6, 1e-3, 1.0, 1e3})
      for (const float weight_decay : {0.0f, 0.1f}) {
        auto weights = normal_floats(size, 1.0, 1);
        std::vector<float> m(weights.size()), v(weights.size());
        Real weights_expected = doubles(weights), m_expected(weights.size()), v_expected(weights.size());
        for (std::int64_t step = 1; step <= 5; ++step) {
          const auto update = update_at(step, weight_decay, 0.5f);
          const auto gradient = normal_floats(size, scale, 10 + static_cast<std::uint64_t>(step));
          Real scaled = doubles(gradient);
          for (double& g : scaled) g *= 0.5;
          kernels::adamw(size, update, gradient.data(), weights.data(), m.data(), v.data());
          const reference::AdamW<double> config{update.learning_rate, update.beta1,        update.beta2,
                                                update.epsilon,       update.weight_decay, step};
          reference::adamw(size, config, scaled.data(), weights_expected.data(), m_expected.data(), v_expected.data());
          expect_near("weights", weights, weights_expected, 1e-6);
          expect_near("m", m, m_expected, 1e-6);
          expect_near("v", v, v_expected, 1e-6);
        }
      }
}

TEST(KernelsAdamW, SameBitsAtAnyThreadCount) {
  const std::int64_t size = 100003;
  const auto gradient = normal_floats(size, 1.0, 1);
  expect_same_at_any_thread_count("weights", [&] {
    auto weights = normal_floats(size, 1.0, 2);
    std::vector<float> m(weights.size(), 0.1f), v(weights.size(), 0.2f);
    kernels::adamw(size, update_at(3, 0.1f, 1.0f), gradient.data(), weights.data(), m.data(), v.data());
    return weights;
  });
}

}  // namespace
}  // namespace qad::testing
