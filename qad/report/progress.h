// How far a run is. In a terminal: one line at its bottom, redrawn at most ten times a second. Elsewhere (a file, a
// pipe, CI): a log line every few seconds. Evaluations are log lines in both, so log.txt has them too.
//
//     qad ━━━━━━━━━━━━━━╸───────────  132/400  loss 0.1020  9.12k tokens/s  1:23 left
//     qad ━━━━━━━━━━━━━━╸───────────  132/400  loss 0.1020  9.12k tokens/s  1:23 left, all arms: about 12:40
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "qad/report/run_so_far.h"
#include "qad/train/events.h"

namespace qad {

struct Terminal {
  bool redraws = false;          ///< a terminal that understands \r
  bool escapes = false;          ///< colours and "erase line"; without them a line is erased by spaces
  std::function<int()> columns;  ///< of now: a window can change its size
  std::function<void(std::string_view)> write;

  /// What brings the cursor to the start of an empty line.
  [[nodiscard]] std::string erase_line() const;
};

/// stderr as it is (autograd/base/terminal.h).
[[nodiscard]] Terminal stderr_terminal();

class Progress final : public RunListener {
 public:
  using Clock = RunSoFar::Clock;
  /// `seconds_left_in_all`: of a comparison, whose run this is; NaN where nobody knows yet.
  explicit Progress(Terminal terminal, Clock clock = {}, Clock seconds_left_in_all = {});
  ~Progress() override;

  void run_started(const RunStarted& event) override;
  void step_done(const StepDone& event) override;
  void eval_done(const EvalDone& event) override;
  void run_finished(const RunFinished& event) override;

 private:
  [[nodiscard]] std::string time_left() const;
  [[nodiscard]] std::string bar_line(const StepDone& step) const;
  void clear();

  Terminal terminal_;
  Clock clock_, seconds_left_in_all_;
  RunSoFar run_;
  double last_shown_ = 0.0;
  bool is_drawn_ = false;
};

/// The same for work that is counted, such as problems to be answered:
///
///     bf16 ━━━━━━━━━━━━━━╸───────────  1320/10000 answers  17.2k tokens/s  0:31 left
class CountProgress {
 public:
  /// `unit`: what is counted, in the plural; `work`: what its speed is told in.
  CountProgress(Terminal terminal, std::string name, std::string unit, std::int64_t total, Progress::Clock clock = {},
                std::string work = "tokens");
  ~CountProgress();
  CountProgress(const CountProgress&) = delete;
  CountProgress& operator=(const CountProgress&) = delete;

  /// `worked`: tokens worked on so far, or what `work` says.
  void update(std::int64_t done, std::int64_t worked);

 private:
  [[nodiscard]] std::string figures(std::int64_t done, std::int64_t worked) const;
  void clear();

  Terminal terminal_;
  Progress::Clock clock_;
  std::string name_, unit_, work_;
  std::int64_t total_;
  double start_, last_shown_;
  bool is_drawn_ = false;
};

}  // namespace qad
