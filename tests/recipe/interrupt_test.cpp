// One signal asks, the second leaves at once; no thread that computes runs a handler.
#include "autograd/base/interrupt.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

namespace qad {
namespace {

void sleep_a_little() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

// To the process, as a terminal sends it.
void send_and_wait(int signal) {
  ::kill(::getpid(), signal);
  for (int i = 0; i < 10'000 && !stop_requested(); ++i) sleep_a_little();
}

TEST(StopSignals, RaiseAFlag) {
  EXPECT_EXIT(
      {
        install_stop_signals();
        bool was_right = !stop_requested();
        send_and_wait(SIGTERM);
        was_right = was_right && stop_requested();
        request_stop(false);
        ::_exit(was_right && !stop_requested() ? 7 : 1);
      },
      ::testing::ExitedWithCode(7), "");
}

TEST(StopSignals, TheSecondEndsTheProcessAsItIs) {
  EXPECT_EXIT(
      {
        install_stop_signals();
        send_and_wait(SIGINT);
        ::kill(::getpid(), SIGINT);
        for (;;) sleep_a_little();
      },
      ::testing::KilledBySignal(SIGINT), "");
}

TEST(StopSignals, AreBlockedWhereOthersCompute) {
  EXPECT_EXIT(
      {
        install_stop_signals();
        sigset_t blocked;
        ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
        ::_exit(sigismember(&blocked, SIGINT) == 1 && sigismember(&blocked, SIGTERM) == 1 ? 7 : 1);
      },
      ::testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace qad
