// Has a model answer the problems of a recipe's `evaluate.problems`, with progress for the user.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "models/language_model.h"
#include "qad/train/problem_evaluator.h"

namespace qad {

/// `name` says whose answers they are, in progress and log; `tokenizer` may be null, which is an Error.
[[nodiscard]] std::vector<AnsweredProblem> problem_answers(LanguageModel& model, const Tokenizer* tokenizer,
                                                           const ProblemEvaluationConfig& config,
                                                           const std::string& name);
/// The same through `file`: it is written at the end, and read instead where an earlier start of the run wrote it.
[[nodiscard]] std::vector<AnsweredProblem> kept_problem_answers(LanguageModel& model, const Tokenizer* tokenizer,
                                                                const ProblemEvaluationConfig& config,
                                                                const std::string& name,
                                                                const std::filesystem::path& file);

}  // namespace qad
