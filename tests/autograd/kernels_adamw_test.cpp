// AdamW over several steps: fast against definition; moments in BF16, bit for bit, and that chance is fair.
#include <gtest/gtest.h>

#include <limits>

#include "autograd/kernels/adamw.h"
#include "autograd/kernels/simd_targets.h"
#include "autograd/reference/adamw.h"
#include "tests/support/complex_step.h"
#include "tests/support/every_target.h"
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

using Moments = std::vector<std::uint16_t>;

constexpr std::uint64_t kKey = 0x0123456789abcdef;

Moments bf16_of(const std::vector<float>& values, bool positive) {
  Moments result;
  for (const float value : values) result.push_back(f32_to_bf16(positive ? value * value : value));
  return result;
}

TEST(KernelsAdamWBF16, HasTheBitsOfTheDefinition) {
  for_each_target([] {
    for (const std::int64_t size : {1, 63, 64, 65, 1024, 1100, 40001})
      for (const std::int64_t first : {std::int64_t{0}, std::int64_t{3} << 14, std::int64_t{5} << 36}) {
        std::vector<float> weights = normal_floats(size, 1.0, 1), expected_weights = weights;
        Moments m = bf16_of(normal_floats(size, 1e-2, 2), false), v = bf16_of(normal_floats(size, 1e-2, 3), true);
        Moments expected_m = m, expected_v = v;
        for (std::int64_t step = 1; step <= 3; ++step) {
          const auto update = update_at(step, 0.1f, 0.5f);
          const auto gradient = normal_floats(size, 1e-2, 10 + static_cast<std::uint64_t>(step));
          const std::uint64_t key = kKey + static_cast<std::uint64_t>(step);
          kernels::adamw_bf16(size, update, {key, first}, gradient.data(), weights.data(), m.data(), v.data());
          reference::adamw_bf16(
              size, key, first, expected_m.data(), expected_v.data(), [&](float* m_FP32, float* v_FP32) {
                kernels::adamw(size, update, gradient.data(), expected_weights.data(), m_FP32, v_FP32);
              });
        }
        EXPECT_EQ(m, expected_m) << size << " from " << first;
        EXPECT_EQ(v, expected_v) << size << " from " << first;
        expect_same_bits("weights", weights, expected_weights);
      }
  });
}

// The owner of a part of a parameter rounds as the owner of all of it does, on any number of threads.
TEST(KernelsAdamWBF16, PartsHaveTheBitsOfTheWhole) {
  const std::int64_t size = 100003, cut = std::int64_t{2} << 14;
  const auto gradient = normal_floats(size, 1.0, 1);
  const auto moments = [&](const std::vector<std::int64_t>& cuts) {
    auto weights = normal_floats(size, 1.0, 2);
    Moments m(weights.size(), f32_to_bf16(0.1f)), v(weights.size(), f32_to_bf16(0.2f));
    std::int64_t begin = 0;
    for (const std::int64_t end : cuts) {
      kernels::adamw_bf16(end - begin, update_at(3, 0.1f, 1.0f), {kKey, begin}, gradient.data() + begin,
                          weights.data() + begin, m.data() + begin, v.data() + begin);
      begin = end;
    }
    std::vector<float> all = weights;
    for (const Moments* one : {&m, &v})
      for (const std::uint16_t bits : *one) all.push_back(bf16_to_f32(bits));
    return all;
  };
  expect_same_bits("two parts", moments({cut, size}), moments({size}));
  expect_same_at_any_thread_count("moments", [&] { return moments({size}); });
}

double mean_of(const Moments& values) {
  double sum = 0;
  for (const std::uint16_t bits : values) sum += static_cast<double>(bf16_to_f32(bits));
  return sum / static_cast<double>(values.size());
}

// With β2 = 0.999 nearest rounding would not let the second moment come beyond a fraction of g²: what a step adds is
// soon less than half of a BF16 step. By chance it comes there on average, and the first moment too.
TEST(KernelsAdamWBF16, OnAverageMomentsAreWhatTheyAreInFP32) {
  const std::int64_t size = 1 << 14, steps = 1500;
  kernels::AdamWUpdate update = update_at(1, 0.0f, 1.0f);
  update.beta2 = 0.999f;
  const std::vector<float> gradient(size, -0.37f);
  std::vector<float> weights(size);
  Moments m(size), v(size);
  double expected_m = 0, expected_v = 0, nearest_v = 0;
  for (std::int64_t step = 0; step < steps; ++step) {
    kernels::adamw_bf16(size, update, {random_bits(kKey, 0, static_cast<std::uint64_t>(step)), 0}, gradient.data(),
                        weights.data(), m.data(), v.data());
    const double g = static_cast<double>(gradient[0]);
    const auto next = [&](double v_now) { return 0.999 * v_now + (1 - 0.999) * g * g; };
    expected_m = 0.9 * expected_m + 0.1 * g;
    expected_v = next(expected_v);
    nearest_v = static_cast<double>(bf16_to_f32(f32_to_bf16(static_cast<float>(next(nearest_v)))));
  }
  // A rounding moves a value by at most a BF16 step (2^-7), and second moments add up some 500 of them: the mean over
  // 2^14 values is within four standard deviations.
  EXPECT_NEAR(mean_of(m) / expected_m, 1.0, 1.5e-4);
  EXPECT_NEAR(mean_of(v) / expected_v, 1.0, 1.5e-3);
  EXPECT_LT(nearest_v / expected_v, 0.7);
}

TEST(KernelsAdamWBF16, ChanceIsFairForEveryShare) {
  const std::int64_t size = 1 << 16;
  kernels::AdamWUpdate update = update_at(1, 0.0f, 1.0f);
  update.beta1 = 0.0f;  // m is the gradient
  for (const float share : {0.0f, 0.01f, 0.25f, 0.5f, 0.9f}) {
    const std::vector<float> gradient(size, 1.0f + share / 128);
    std::vector<float> weights(size);
    Moments m(size), v(size);
    kernels::adamw_bf16(size, update, {kKey, 0}, gradient.data(), weights.data(), m.data(), v.data());
    const auto up = static_cast<double>(std::ranges::count(m, f32_to_bf16(1.0f + 1.0f / 128)));
    EXPECT_EQ(static_cast<std::int64_t>(up) + std::ranges::count(m, f32_to_bf16(1.0f)), size);
    EXPECT_NEAR(up / static_cast<double>(size), share, 0.008);  // four standard deviations
  }
}

TEST(KernelsAdamWBF16, RoundingMakesNothingNegativeNorInfinite) {
  constexpr std::int64_t kSize = 4096;
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  struct Case {
    float gradient;
    std::uint16_t v;
    std::vector<std::uint16_t> allowed;
  };
  for (const Case& c : {Case{1.844e19f, 0x7f7f, {0x7f7f}},  // between the largest BF16 number and infinity
                        Case{0.0f, 0, {0}},                 //
                        Case{0.0f, 1, {0, 1}},              // the smallest
                        Case{1e-21f, 0, {0, 1}},            // below it
                        Case{infinity, 0, {0x7f80}},        // was never finite
                        Case{nan, 0, {0x7fc0, 0xffc0}}}) {  // which sign a NaN has depends on the CPU
    const std::vector<float> gradient(kSize, c.gradient);
    std::vector<float> weights(kSize);
    Moments m(kSize), v(kSize, c.v);
    kernels::adamw_bf16(kSize, update_at(1, 0.0f, 1.0f), {kKey, 0}, gradient.data(), weights.data(), m.data(),
                        v.data());
    for (const std::uint16_t bits : v)
      ASSERT_NE(std::ranges::find(c.allowed, bits), c.allowed.end()) << std::hex << bits << " of " << c.gradient;
  }
}

}  // namespace
}  // namespace qad::testing
