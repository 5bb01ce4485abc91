// The table of a profile.
#include "qad/report/profile_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

namespace qad {
namespace {

TEST(ProfileTable, PhasesInOrderLongestFirstSharesAddUp) {
  const auto take = [](int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); };
  const Profiler profiler;
  for (int step = 0; step < 2; ++step) {
    const ProfilePhase phase("step");
    {
      const ProfilePhase inner("teacher");
      {
        const ProfileScope scope("rope", 0, 1e6);
        take(1);
      }
      const ProfileScope scope("gemm forward", 1e9, 1e6);
      take(20);
    }
    take(5);
  }
  const Table table = profile_table(profiler);
  const auto rows = table.rows();
  ASSERT_EQ(rows.size(), 5u);
  // A scope's time is known when it ends, and "teacher" ends before the step.
  EXPECT_EQ(rows[0][0], "teacher");
  EXPECT_EQ(rows[0][1], "gemm forward");
  EXPECT_EQ(rows[1][0], "");
  EXPECT_EQ(rows[1][1], "rope");
  EXPECT_EQ(rows[1][5], "");
  EXPECT_EQ(rows[3][0], "step");
  EXPECT_EQ(rows[3][1], "other");
  EXPECT_EQ(rows[0][4], "2");
  double milliseconds = 0, share = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    milliseconds += std::stod(rows[i][2]);
    share += std::stod(rows[i][3]);
  }
  EXPECT_EQ(rows[4][0], "all");
  EXPECT_NEAR(milliseconds, std::stod(rows[4][2]), 4 * 0.0005);
  EXPECT_NEAR(milliseconds, 1e3 * profiler.seconds() / 2, 4 * 0.0005);
  EXPECT_NEAR(share, 100, 4 * 0.05 + 1e-9);
  EXPECT_LE(std::stod(rows[0][5]), 1e9 / 20e-3 * 1e-9);  // 20 ms at least for an operation of 1 GFLOP

  const std::string text = profile_text(profiler);
  EXPECT_EQ(text.rfind("profile of 2 steps, ", 0), 0u) << text;
  EXPECT_NE(text.find("floor: the matrix products alone take "), std::string::npos) << text;
}

TEST(ProfileTable, WithoutSteps) {
  const Profiler profiler;
  EXPECT_EQ(profile_text(profiler), "profile: there was no training step\n");
}

}  // namespace
}  // namespace qad
