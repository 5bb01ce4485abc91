// Has a model answer the problems of a recipe's `evaluate.problems`, with progress for the user.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "models/language_model.h"
#include "qad/recipe/recipe.h"
#include "qad/run/materials.h"
#include "qad/run/run_folder.h"
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

/// Those of a run's student to evaluate.problems, kept in the run's folder; it writes as `decode` says, and the log
/// says what that does.
[[nodiscard]] std::vector<AnsweredProblem> student_answers(const Recipe& recipe, const Materials& materials,
                                                           LanguageModel& student, const std::string& name,
                                                           const RunFolder& folder);
/// Logs what decode.head does to the student, if it is set.
void tell_head_effect(const DecodeConfig& decode, LanguageModel& student, const std::vector<TokenBatch>& batches,
                      const std::string& name);

}  // namespace qad
