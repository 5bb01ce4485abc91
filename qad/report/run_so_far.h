// A run that goes on, as its summary would be if it ended now.
#pragma once

#include <functional>
#include <optional>

#include "autograd/base/clock.h"
#include "qad/report/summary.h"
#include "qad/train/events.h"

namespace qad {

class RunSoFar final : public RunListener {
 public:
  using Clock = std::function<double()>;  ///< seconds from any start, never backwards
  explicit RunSoFar(Clock clock);

  void run_started(const RunStarted& event) override;
  void step_done(const StepDone& event) override;
  void eval_done(const EvalDone& event) override;
  void run_finished(const RunFinished& event) override;

  [[nodiscard]] bool has_started() const { return has_started_; }
  /// Whether all its steps are done; what follows are answers to problems and exports.
  [[nodiscard]] bool is_trained() const;
  [[nodiscard]] const std::string& name() const { return started_.name; }
  [[nodiscard]] std::int64_t step() const { return reached_.step; }
  [[nodiscard]] std::int64_t planned_steps() const { return started_.planned_steps; }
  /// Of the steps that were done since it started or was resumed, evaluations included; NaN before the first one.
  [[nodiscard]] double seconds_per_step() const;
  /// Of the steps to come, at that pace.
  [[nodiscard]] double seconds_left() const;
  /// Its `end` is kStillRunning.
  [[nodiscard]] RunSummary summary() const;

 private:
  Clock clock_;
  RunStarted started_;
  RunFinished reached_;
  double start_ = 0.0, last_step_ = 0.0;
  bool has_started_ = false, has_finished_ = false;
};

}  // namespace qad
