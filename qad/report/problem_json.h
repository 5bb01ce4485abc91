// Exact match as JSON: figures for summary.json, and answers.jsonl, one object for each problem:
//
//     {"family", "index", "prompt", "answer", "greedy", "right", "samples", "samples_right", "tokens", "cut"}
//
// `answer` is the right one, `greedy` what the model wrote without sampling and `right` whether that is so; `tokens`
// and `cut` (at the length limit) are sums over all its answers.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "qad/train/problem_figures.h"

namespace qad {

/// An object for each family by its name, and "mean". What was not measured is left out.
[[nodiscard]] nlohmann::ordered_json json_of(const ProblemResults& results);
[[nodiscard]] ProblemResults problem_results_of(const nlohmann::ordered_json& json);

void write_answers(const std::filesystem::path& file, const std::vector<AnsweredProblem>& answered);
/// Throws Error that names file and line if it is not what write_answers writes.
[[nodiscard]] std::vector<AnsweredProblem> read_answers(const std::filesystem::path& file);

}  // namespace qad
