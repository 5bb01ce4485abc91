// A TensorBoard event file beside metrics.jsonl with the same numbers, a record a step: `report: {tensorboard: true}`.
// `tensorboard --logdir DIR` shows a run, or all arms of a comparison.
//
// Tags are the keys of metrics.jsonl: loss, lr, grad_norm, tokens_per_second, …, eval/kl_mean, rollout/reward; a number
// that is not finite has no point. A resumed run cuts the file where it cuts metrics.jsonl, so that each step stands
// there once for any reader; steps that metrics.jsonl knows and this file does not (it was lost, or asked for later)
// are added. A TensorBoard that reads meanwhile goes on where it was, as a step done again takes the same bytes; where
// its evaluations were changed, it has to be started again. Bytes: event_file.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <utility>

#include "qad/report/best_effort.h"
#include "qad/report/metrics_log.h"

namespace qad {

inline constexpr const char* kEventFile = "events.out.tfevents.qad";

/// Keeps of `file` the steps before `end`, and adds those that `metrics` has and it has not.
void bring_events_up_to_date(const std::filesystem::path& file, const std::filesystem::path& metrics,
                             std::int64_t end = std::numeric_limits<std::int64_t>::max());

/// Comes after MetricsLog among a run's listeners. That the file can't be written is a warning and its end.
class TensorBoardLog final : public RunListener {
 public:
  TensorBoardLog(std::filesystem::path file, std::filesystem::path metrics)
      : file_(std::move(file)), metrics_(std::move(metrics)) {}

  void run_started(const RunStarted& event) override;
  void step_done(const StepDone& event) override;
  void eval_done(const EvalDone& event) override;
  void run_finished(const RunFinished&) override { effort_.tell(); }

 private:
  void add(const MetricsRecord& record);

  std::filesystem::path file_, metrics_;
  std::optional<StepDone> waiting_;  ///< a step whose record waits for its evaluation
  BestEffort effort_;
};

}  // namespace qad
