#include "autograd/core/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "autograd/core/error.h"

namespace qad {
namespace {

std::atomic<bool> stop{false};

}  // namespace

void install_stop_signals() {
  // No thread that computes may run a handler: code that a BLAS generates at run time may have no stack that a handler
  // could use, and crashes. So a thread of its own waits for the signals, and all others inherit that they are blocked.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals] {
    for (int signal = 0; ::sigwait(&signals, &signal) == 0;)
      if (stop.exchange(true)) ::_exit(static_cast<int>(ExitCode::interrupted));
  }).detach();
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is an error of write, as a full disk is
}

bool stop_requested() { return stop.load(std::memory_order_relaxed); }
void request_stop(bool value) { stop.store(value); }

}  // namespace qad
