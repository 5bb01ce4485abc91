// Scopes charge their own time to their phase, and all of it adds up.
#include "autograd/base/profile.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <thread>

namespace qad {
namespace {

using std::chrono_literals::operator""ms;

void take(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }

const ProfileRow& row_of(const Profiler& profiler, std::string_view phase, std::string_view operation) {
  for (const ProfileRow& row : profiler.rows())
    if (row.phase == phase && row.operation == operation) return row;
  throw std::out_of_range(std::string(phase) + ": " + std::string(operation));
}

TEST(Profile, TimeIsChargedOnceToTheInnermostScope) {
  const Profiler profiler;
  const auto began = std::chrono::steady_clock::now();
  for (int step = 0; step < 2; ++step) {
    const ProfilePhase phase("step");
    take(2ms);
    const ProfilePhase inner("backward");
    const ProfileScope linear("linear", 100, 10);
    take(4ms);
    const ProfileScope decode("decode", 0, 7);
    take(8ms);
  }
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();

  ASSERT_EQ(profiler.rows().size(), 4u);
  EXPECT_EQ(profiler.rounds(), 2);
  const ProfileRow &decode = row_of(profiler, "backward", "decode"), &linear = row_of(profiler, "backward", "linear"),
                   &rest = row_of(profiler, "backward", "other"), &step = row_of(profiler, "step", "other");
  EXPECT_EQ(linear.calls, 2);
  EXPECT_EQ(linear.flops, 200);
  EXPECT_EQ(linear.bytes, 20);
  EXPECT_EQ(decode.bytes, 14);
  EXPECT_GE(decode.seconds, 0.016);
  EXPECT_GE(linear.seconds, 0.008);
  EXPECT_GE(step.seconds, 0.004);
  for (const ProfileRow* row : {&decode, &linear, &rest, &step}) EXPECT_GE(row->seconds, 0);
  // Were a scope's time its parent's too, the sum would pass the wall time.
  EXPECT_LE(profiler.seconds(), wall);
  EXPECT_NEAR(profiler.seconds(), decode.seconds + linear.seconds + rest.seconds + step.seconds, 1e-12);
}

TEST(Profile, OnlyInsideAPhaseOnlyOnItsThreadAndOnlyWhileAsked) {
  {
    const ProfilePhase before("before");
    EXPECT_FALSE(profiling());
  }
  {
    const Profiler profiler;
    EXPECT_TRUE(profiling());
    const ProfileScope nowhere("outside of any phase");
    std::thread([] {
      EXPECT_FALSE(profiling());
      const ProfilePhase elsewhere("another thread");
    }).join();
    EXPECT_TRUE(profiler.rows().empty());
  }
  EXPECT_FALSE(profiling());
  const Profiler next;
  EXPECT_EQ(next.rounds(), 0);
  EXPECT_EQ(next.seconds(), 0);
}

TEST(Profile, AnErrorEndsTheScopesThatItLeaves) {
  const Profiler profiler;
  try {
    const ProfilePhase phase("step");
    const ProfileScope scope("that fails");
    throw std::runtime_error("not finite");
  } catch (const std::runtime_error&) {
  }
  { const ProfilePhase phase("step"); }
  EXPECT_EQ(row_of(profiler, "step", "that fails").calls, 1);
  EXPECT_EQ(row_of(profiler, "step", "other").calls, 2);
}

}  // namespace
}  // namespace qad
