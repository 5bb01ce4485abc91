#include "qad/verbs/compare_arms.h"

#include <algorithm>
#include <optional>

#include "autograd/core/error.h"
#include "autograd/core/interrupt.h"
#include "autograd/core/log.h"
#include "qad/report/html_report.h"
#include "qad/report/machine.h"
#include "qad/report/problem_json.h"
#include "qad/train/evaluator.h"
#include "qad/verbs/problem_answers.h"
#include "qad/verbs/run_one.h"

namespace qad::verbs {
namespace {

ArmSummary teacher_row(const Recipe& recipe, Materials& materials, const RunFolder& folder) {
  ArmSummary row;
  row.name = "bf16";
  row.kind = "bf16";
  row.bits_per_weight = recipe.teacher->weights == TeacherWeights::bf16 ? 16.0 : EvalFigures::kNone;
  row.eval = evaluate(*materials.teacher, materials.teacher.get(), materials.evaluation, stop_requested);
  if (recipe.evaluate.problems && !stop_requested()) {
    materials.teacher_answers = kept_problem_answers(*materials.teacher, materials.tokenizer.get(),
                                                     *recipe.evaluate.problems, row.name, folder.answers());
    row.problems = figures_of({materials.teacher_answers});
  }
  if (stop_requested())
    throw Error({"bf16", "its evaluation to end", "a signal", "qad resume goes on"}, ExitCode::interrupted);
  return row;
}

// What an earlier start left complete is read, not run again.
RunSummary run_arm(const ArmRun& arm, const Materials& materials, const RunFolder& comparison) {
  const RunFolder folder{comparison.arm(arm.name)};
  const auto run = [&](const RunFolder& place) {
    log_to_file(place.log());
    const RunSummary summary = run_one(arm.recipe, materials, place, arm.name);
    log_to_file(comparison.log());
    return summary;
  };
  if (!is_run_folder(folder.path)) return in_new_run_folder(folder.path, arm.recipe, run);
  return std::filesystem::exists(folder.summary()) ? read_summary(folder.summary()) : run(folder);
}

AnsweredByRun answers_of(const ArmSummary& arm, const RunFolder& comparison) {
  AnsweredByRun runs;
  for (const std::string& folder : arm.folders)
    runs.push_back(read_answers(RunFolder{comparison.path / folder}.answers()));
  return runs;
}

// What takes the answers of several runs: the figures of an arm with several seeds, and how much of what PTQ lost the
// trained arms won back.
void add_problems(std::vector<ArmSummary>& arms, const std::vector<AnsweredProblem>& teacher,
                  const RunFolder& comparison) {
  if (teacher.empty()) return;
  for (ArmSummary& arm : arms)
    if (arm.folders.size() > 1) arm.problems = figures_of(answers_of(arm, comparison), teacher);
  const auto ptq = std::ranges::find(arms, "ptq", &ArmSummary::kind);
  if (ptq == arms.end()) return;
  const auto ptq_answers = answers_of(*ptq, comparison).front();
  for (ArmSummary& arm : arms)
    if (arm.steps > 0) recover(arm.problems, answers_of(arm, comparison), ptq_answers, teacher);
}

}  // namespace

RunSummary compare_arms(const Recipe& recipe, const RunFolder& folder) {
  Materials materials = load_materials(recipe, folder);
  RunSummary total;
  total.kind = enum_name(recipe.kind);
  total.teacher = recipe.teacher->model;
  total.student = recipe.student.model;
  total.arms.push_back(teacher_row(recipe, materials, folder));
  std::optional<RunSummary> best_qad;
  for (const Arm& arm : expand_arms(recipe)) {
    std::optional<ArmSummary> best;
    for (const ArmCandidate& candidate : arm.candidates) {
      std::vector<RunSummary> runs;
      std::vector<std::string> folders;
      const LossConfig& loss = candidate.front().recipe.loss;
      for (const ArmRun& one : candidate) {
        RunSummary run = run_arm(one, materials, folder);
        if (run.end == enum_name(RunEnd::interrupted)) {
          total.end = run.end;
          total.steps = run.steps;
          return total;
        }
        total.tokens += run.tokens;
        total.seconds += run.seconds;
        total.machine = run.machine;
        total.version = run.version;
        total.parameters = run.parameters;
        folders.push_back("arms/" + one.name);
        if (arm.kind == RecipeKind::qad &&
            (!best_qad || selection_score(loss, run.eval) < selection_score(loss, best_qad->eval))) {
          best_qad = run;
          for (ExportSummary& exported : best_qad->exports) exported.folder = folders.back() + "/" + exported.folder;
        }
        runs.push_back(std::move(run));
      }
      ArmSummary row = arm_of(runs, arm.name, std::move(folders));
      if (!best || selection_score(loss, row.eval) < selection_score(loss, best->eval)) best = std::move(row);
    }
    total.arms.push_back(*best);
  }
  add_problems(total.arms, materials.teacher_answers, folder);
  if (best_qad) {
    total.exports = best_qad->exports;
    total.eval = best_qad->eval;
    total.problems = best_qad->problems;
    total.bits_per_weight = best_qad->bits_per_weight;
  }
  total.end = enum_name(RunEnd::planned_steps);
  total.peak_rss_bytes = peak_rss_bytes();
  write_summary(folder.summary(), total);
  write_report(folder.path);
  return total;
}

}  // namespace qad::verbs
