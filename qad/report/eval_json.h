// Held-out figures as JSON, one spelling for metrics.jsonl and summary.json. What was not measured is left out.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "qad/train/events.h"

namespace qad {

[[nodiscard]] nlohmann::ordered_json json_of(const EvalFigures& figures);
[[nodiscard]] EvalFigures eval_figures_of(const nlohmann::ordered_json& json);

/// A number, or NaN where the key is absent or null (JSON has no NaN; it is written as null).
[[nodiscard]] double number_or_nan(const nlohmann::ordered_json& json, const char* key);

}  // namespace qad
