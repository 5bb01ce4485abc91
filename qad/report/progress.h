// How far a run is. In a terminal: one line at its bottom, redrawn at most ten times a second. Elsewhere (a file, a
// pipe, CI): a log line every few seconds. Evaluations are log lines in both, so log.txt has them too.
//
//     qad ━━━━━━━━━━━━━━╸───────────  132/400  loss 0.1020  9.12k tokens/s  1:23 left
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "qad/train/events.h"

namespace qad {

struct Terminal {
  bool redraws = false;  ///< a terminal that understands \r and "erase line"
  bool colour = false;
  std::function<int()> columns;  ///< of now: a window can change its size
  std::function<void(std::string_view)> write;
};

/// stderr as it is: redraws when it is a terminal (TERM other than dumb), colour unless NO_COLOR is set.
[[nodiscard]] Terminal stderr_terminal();

class Progress final : public RunListener {
 public:
  using Clock = std::function<double()>;  ///< seconds from any start, never backwards
  explicit Progress(Terminal terminal, Clock clock = {});
  ~Progress() override;

  void run_started(const RunStarted& event) override;
  void step_done(const StepDone& event) override;
  void eval_done(const EvalDone& event) override;
  void run_finished(const RunFinished& event) override;

 private:
  [[nodiscard]] double seconds_left(std::int64_t step) const;
  [[nodiscard]] std::string bar_line(const StepDone& step) const;
  void clear();

  Terminal terminal_;
  Clock clock_;
  RunStarted run_;
  double start_ = 0.0;
  double last_shown_ = 0.0;
  bool is_drawn_ = false;
};

}  // namespace qad
