#include "autograd/core/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <csignal>

#include "autograd/core/error.h"

namespace qad {
namespace {

std::atomic<bool> stop{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may touch it");

// Only what is async-signal-safe.
void on_signal(int) {
  if (stop.exchange(true)) ::_exit(static_cast<int>(ExitCode::interrupted));
}

}  // namespace

void install_stop_signals() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;  // a write that is under way goes on
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is an error of write, as a full disk is
}

bool stop_requested() { return stop.load(std::memory_order_relaxed); }
void request_stop(bool value) { stop.store(value); }

}  // namespace qad
