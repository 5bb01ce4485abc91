// The tables of a run or a comparison, for terminal and report: a row for each arm, and for the student before
// training.
#pragma once

#include <string>
#include <vector>

#include "qad/report/problem_table.h"
#include "qad/report/summary.h"
#include "qad/report/table.h"

namespace qad {

/// The arms with a row before each trained one that says what its student was before training, unless a row that is
/// there already (such as PTQ's) has the same figures. Its kind is ptq where the student is a quantized one.
[[nodiscard]] std::vector<ArmSummary> with_untrained_rows(const std::vector<ArmSummary>& arms);

/// Quality of each arm; with an arm of kind ptq, also how much of its KL to the teacher the others won back. An arm
/// that diverged, or that no training step made better, is marked.
[[nodiscard]] Table comparison_table(const std::vector<ArmSummary>& arms);

/// The learning rates that arms tried, with a word beside the one that the arm's row shows; without rows where none
/// tried several.
[[nodiscard]] Table candidates_table(const std::vector<ArmSummary>& arms);

/// A sentence for each arm that diverged or whose training did not help.
[[nodiscard]] std::vector<std::string> warnings_of(const std::vector<ArmSummary>& arms);

/// How many tokens each arm trained on and why QAT's are fewer than QAD's; empty where no two arms show that.
[[nodiscard]] std::string token_note(const std::vector<ArmSummary>& arms);

/// The arms' rows of problem_table.
[[nodiscard]] std::vector<ProblemRow> problem_rows(const std::vector<ArmSummary>& arms);

}  // namespace qad
