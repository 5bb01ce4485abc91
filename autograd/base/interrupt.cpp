#include "autograd/base/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <string_view>
#include <thread>
#include <utility>

namespace qad {
namespace {

std::atomic<bool> stop{false}, signalled{false}, deferred{false}, leaves{false};
std::function<bool()> asked;  // by the thread that works; empty outside of tests

void end_as_the_signal_does(int signal, const sigset_t& signals) {
  std::signal(signal, SIG_DFL);
  ::kill(::getpid(), signal);
  ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

// A thread of its own, so that no handler ever runs.
void wait_for_signals(const sigset_t& signals) {
  for (int signal = 0; ::sigwait(&signals, &signal) == 0;) {
    if (signalled.exchange(true) && !deferred) end_as_the_signal_does(signal, signals);
    if (deferred) continue;
    stop = true;
    if (!leaves) continue;
    std::this_thread::sleep_for(std::chrono::seconds(1));
    constexpr std::string_view kMessage = "qad: stopped by a signal\n";
    static_cast<void>(!::write(STDERR_FILENO, kMessage.data(), kMessage.size()));
    ::_exit(static_cast<int>(ExitCode::interrupted));
  }
}

}  // namespace

Stopped::Stopped(const std::string& hint)
    : Error({.got = "stopped by a signal", .hint = hint}, ExitCode::interrupted) {}

void install_stop_signals() {
  // No thread that computes may run a handler: code that a BLAS generates at run time may have no stack that a handler
  // could use, and crashes. So a thread of its own waits for the signals, and all others inherit that they are blocked.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals] { wait_for_signals(signals); }).detach();
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is an error of write, as a full disk is
}

void defer_stops() { deferred = true; }
bool signal_came() { return signalled || stop; }
void leave_when_stopped() { leaves = true; }

bool stop_requested() { return stop.load(std::memory_order_relaxed) || (asked && asked()); }
void throw_if_stopped() {
  if (stop_requested()) throw Stopped();
}
void request_stop(bool value) { stop.store(value); }

StopQuestion::StopQuestion(std::function<bool()> question) { asked = std::move(question); }
StopQuestion::~StopQuestion() { asked = {}; }

}  // namespace qad
