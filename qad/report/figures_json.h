// Figures as JSON, one spelling for metrics.jsonl and summary.json. What was not measured is left out.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "qad/train/events.h"
#include "qad/train/problem_figures.h"

namespace qad {

[[nodiscard]] nlohmann::ordered_json json_of(const EvalFigures& figures);
[[nodiscard]] nlohmann::ordered_json json_of(const std::vector<LayerRouting>& layers);
[[nodiscard]] nlohmann::ordered_json json_of(const RolloutFigures& figures);
[[nodiscard]] nlohmann::ordered_json json_of(const ProblemFigures& figures);

/// The reverse: NaN or 0 for what is not there.
void read_figures(const nlohmann::ordered_json& json, EvalFigures& figures);
void read_figures(const nlohmann::ordered_json& json, RolloutFigures& figures);
void read_figures(const nlohmann::ordered_json& json, ProblemFigures& figures);

/// A number, or NaN where the key is absent or null (JSON has no NaN; it is written as null).
[[nodiscard]] double number_or_nan(const nlohmann::ordered_json& json, const char* key);

}  // namespace qad
