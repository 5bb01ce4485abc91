// metrics.jsonl, the curves of a run: one JSON object a step, appended and flushed as the step ends.
//
//     {"step":50,"tokens":81920,"loss":0.101,"lr":0.0001,"grad_norm":0.52,"tokens_per_second":9120.5,
//      "saturated_weights":0,"saturated_activations":12,"eval":{"kl_mean":0.098,…}}
//
// "rollout":{"reward":0.4,…} of reinforcement learning, "eval" where the step was evaluated, with "routing":
// [{"layer":"model.layers.0.mlp","tokens":[…],"agreement":0.97,…},…] of a model with experts, "skipped": true where
// nothing was updated, null for a number that is not finite. The record of an untrained student's evaluation has step 0
// and no training figures. After a kill and a resume the file equals that of an undisturbed run but for
// tokens_per_second: records past the resumed step are dropped first.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "qad/train/events.h"

namespace qad {

class MetricsLog final : public RunListener {
 public:
  explicit MetricsLog(std::filesystem::path file) : file_(std::move(file)) {}

  void run_started(const RunStarted& event) override;
  void step_done(const StepDone& event) override;
  void eval_done(const EvalDone& event) override;

 private:
  std::filesystem::path file_;
  std::optional<StepDone> waiting_;  ///< a step whose record waits for its evaluation
};

/// One line of metrics.jsonl.
struct MetricsRecord {
  StepDone training;  ///< its loss is NaN in an evaluation's own record
  std::optional<EvalFigures> eval;
};

/// A last line that was cut off by a crash is left out; any other line that is no record is an Error with file:line.
[[nodiscard]] std::vector<MetricsRecord> read_metrics(const std::filesystem::path& file);

}  // namespace qad
