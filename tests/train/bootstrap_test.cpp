// Bootstrap intervals against what is known of binomial shares.
#include "qad/train/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>

namespace qad {
namespace {

// The share of ones among `size` numbers of which `ones` are 1, in a resample.
auto share_of(std::size_t ones) {
  return [ones](const Resample& drawn) {
    std::size_t count = 0;
    for (const std::size_t member : drawn[0]) count += member < ones ? 1 : 0;
    return static_cast<double>(count) / static_cast<double>(drawn[0].size());
  };
}

TEST(Bootstrap, IsNearTheBinomialInterval) {
  for (const std::size_t ones : {50u, 150u, 250u, 400u}) {
    const double share = static_cast<double>(ones) / 500;
    const double half = 1.96 * std::sqrt(share * (1 - share) / 500);
    const Interval interval = bootstrap_interval({500}, share_of(ones));
    EXPECT_NEAR(interval.low, share - half, 0.08 * half + 1.0 / 500);
    EXPECT_NEAR(interval.high, share + half, 0.08 * half + 1.0 / 500);
  }
}

TEST(Bootstrap, StrataAreDrawnWithinThemselves) {
  // All of the first are ones, none of the second: within them nothing varies.
  const Interval interval = bootstrap_interval({30, 70}, [](const Resample& drawn) {
    EXPECT_EQ(drawn[0].size(), 30u);
    EXPECT_EQ(drawn[1].size(), 70u);
    return static_cast<double>(drawn[0].size()) / 100;
  });
  EXPECT_EQ(interval.low, 0.3);
  EXPECT_EQ(interval.high, 0.3);
}

TEST(Bootstrap, SameEveryTime) {
  const Interval once = bootstrap_interval({200}, share_of(77)), again = bootstrap_interval({200}, share_of(77));
  EXPECT_EQ(once.low, again.low);
  EXPECT_EQ(once.high, again.high);
}

TEST(Bootstrap, NothingToDrawFromHasNoInterval) {
  EXPECT_TRUE(std::isnan(bootstrap_interval({}, [](const Resample&) { return 1.0; }).low));
  EXPECT_TRUE(std::isnan(bootstrap_interval({5, 0}, [](const Resample&) { return 1.0; }).low));
  EXPECT_TRUE(std::isnan(bootstrap_interval({5}, [](const Resample&) { return std::nan(""); }).high));
}

}  // namespace
}  // namespace qad
