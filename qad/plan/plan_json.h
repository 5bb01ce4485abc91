// A plan as one JSON object. Names are those of summary.json where they mean the same; bytes, seconds and
// floating-point operations are plain numbers. What a run doesn't have (a teacher, say) is left out.
//
//     {"kind", "teacher", "student", "steps", "tokens", "tokens_per_step", "seconds", "peak_rss_bytes", "parameters",
//      "parameters_by_part": {…}, "bits_per_weight", "quantizers": [{"layers", "count", "shape", "weights", "inputs",
//      "bits_per_weight"}], "text": {…}, "checkpoints": {"count", "bytes", "best_bytes"},
//      "exports": [{"format", "bytes"}], "memory": {…}, "step": {"teacher_layers": {"seconds", "operations"}, …},
//      "attention_operations", "evaluation_seconds", "calibration_seconds", "machine", "kernels", "threads"}
//
// Of a comparison: "kind", "parameters" to "quantizers" of its first arm, "seconds" of all runs, "peak_rss_bytes" of
// the largest, "machine", "kernels", "threads", and "arms": [{"name", "kind", "runs", "steps", "tokens",
// "seconds_per_step", "peak_rss_bytes", "seconds"}], where "seconds" is of all the arm's runs, the rest of one.
//
// With `stream`: "exports": [{"format", "source_bytes", "bytes", "parts", "memory_bytes"}].
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "qad/plan/plan_run.h"
#include "qad/run/stream_run.h"

namespace qad {

[[nodiscard]] nlohmann::ordered_json json_of(const RunPlan& plan);
/// `first`: the first arm's student.
[[nodiscard]] nlohmann::ordered_json json_of(const std::vector<ArmPlan>& arms, const PlanSubject& first);
[[nodiscard]] nlohmann::ordered_json json_of(const std::vector<StreamedSizes>& exports);

}  // namespace qad
