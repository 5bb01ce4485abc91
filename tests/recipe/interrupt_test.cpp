// One signal asks, the second leaves at once.
#include "autograd/core/interrupt.h"

#include <gtest/gtest.h>

#include <csignal>

namespace qad {
namespace {

TEST(StopSignals, RaiseAFlag) {
  install_stop_signals();
  EXPECT_FALSE(stop_requested());
  ::raise(SIGTERM);
  EXPECT_TRUE(stop_requested());
  request_stop(false);
  EXPECT_FALSE(stop_requested());
}

TEST(StopSignals, TheSecondLeavesWithThree) {
  EXPECT_EXIT(
      {
        install_stop_signals();
        ::raise(SIGINT);
        ::raise(SIGINT);
      },
      ::testing::ExitedWithCode(3), "");
}

}  // namespace
}  // namespace qad
