// SIGINT, SIGTERM and SIGUSR1 (which launchers of several ranks pass on without killing) as a flag that all long work
// polls: each op of a forward or backward, batches, tokens, documents, tensors of a file. Whoever polls throws Stopped;
// who has something worth saving catches it, and what was begun is as if it had not been.
#pragma once

#include <functional>

#include "autograd/base/error.h"

namespace qad {

/// The one way in which a stop ends work. Exit code 3.
class Stopped : public Error {
 public:
  /// `hint`: how to go on.
  explicit Stopped(const std::string& hint = "");
};

/// From now on the first SIGINT, SIGTERM or SIGUSR1 raises the flag; the second ends the process at once, as that
/// signal does. SIGXFSZ is ignored.
void install_stop_signals();
/// For verbs that only read and print: a stop that they don't heed within a second leaves the process, with exit
/// code 3.
void leave_when_stopped();

/// Throws Stopped if a stop was asked for. Cheap enough for any loop but the innermost; not inside parallel_for.
void throw_if_stopped();
[[nodiscard]] bool stop_requested();
/// From now on a signal alone stops nothing: where several processes work on one run they must first agree on it, and
/// then ask with request_stop().
void defer_stops();
/// Whether a signal came, agreed on or not.
[[nodiscard]] bool signal_came();
/// What a signal does, without one; `false` takes it back.
void request_stop(bool stop = true);

/// For tests and limits on time: as long as it lives, every poll asks `question` too; yes is a stop.
class StopQuestion {
 public:
  explicit StopQuestion(std::function<bool()> question);
  ~StopQuestion();
  StopQuestion(const StopQuestion&) = delete;
  StopQuestion& operator=(const StopQuestion&) = delete;
};

}  // namespace qad
