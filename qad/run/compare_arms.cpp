#include "qad/run/compare_arms.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "qad/report/machine.h"
#include "qad/report/problem_json.h"
#include "qad/run/complete_run.h"
#include "qad/run/live_comparison.h"
#include "qad/run/problem_answers.h"
#include "qad/run/run_one.h"
#include "qad/run/shared_run.h"
#include "qad/train/evaluator.h"

namespace qad {
namespace {

ArmSummary teacher_row(const Recipe& recipe, Materials& materials, const RunFolder& folder) {
  ArmSummary row;
  row.name = "bf16";
  row.kind = "bf16";
  row.bits_per_weight = recipe.teacher->weights == TeacherWeights::bf16 ? 16.0 : EvalFigures::kNone;
  row.eval = evaluate(*materials.teacher, materials.teacher.get(), materials.evaluation);
  if (recipe.evaluate.problems) {
    materials.teacher_answers = kept_problem_answers(*materials.teacher, materials.tokenizer.get(),
                                                     *recipe.evaluate.problems, row.name, folder.answers());
    row.problems = figures_of({materials.teacher_answers});
  }
  return row;
}

// What an earlier start left complete is read, and made again only where something of it is missing.
RunSummary run_arm(const ArmRun& arm, const Materials& materials, const RunFolder& comparison,
                   const AroundRun& around) {
  const RunFolder folder{comparison.arm(arm.name)};
  const auto run = [&](const RunFolder& place) {
    begin_log(place);
    const RunSummary summary = run_one(arm.recipe, materials, place, arm.name, around);
    begin_log(comparison);
    return summary;
  };
  if (!first_has(folder.recipe())) return in_new_run_folder(folder.path, arm.recipe, run);
  if (!first_has(folder.summary())) {
    first_does([&] { remove_leftovers(folder); });
    return run(folder);
  }
  return make_complete(arm.recipe, folder, arm.name, [&]() -> const Materials& { return materials; });
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

// A learning rate that has run, with all its seeds.
struct Tried {
  std::vector<RunSummary> runs;
  std::vector<std::string> folders;  // in the comparison's
  ArmSummary row;
  double score = std::numeric_limits<double>::infinity();  // of what may be shown: none that diverged
};

Tried run_candidate(const ArmCandidate& candidate, const std::string& name, const Materials& materials,
                    const RunFolder& folder, RunSummary& total, LiveComparison& live) {
  Tried tried;
  for (const ArmRun& one : candidate) {
    live.begin();
    RunSummary run = run_arm(one, materials, folder, live.around());
    live.end(one, run);
    total.tokens += run.tokens;
    total.seconds += run.seconds;
    total.machine = run.machine;
    total.version = run.version;
    total.parameters = run.parameters;
    tried.folders.push_back("arms/" + one.name);
    tried.runs.push_back(std::move(run));
  }
  tried.row = arm_of(tried.runs, name, tried.folders);
  if (tried.row.end != enum_name(RunEnd::diverged))
    tried.score = selection_score(candidate.front().recipe.loss, tried.row.eval);
  return tried;
}

CandidateSummary candidate_of(const ArmCandidate& candidate, const Tried& tried) {
  return {.name = candidate.size() == 1 ? candidate.front().name : tried.row.name,
          .lr = candidate.front().recipe.train.lr,
          .folders = tried.folders,
          .end = tried.row.end,
          .reason = tried.row.reason,
          .best_step = tried.row.best_step,
          .eval = tried.row.eval};
}

// The best run of the best QAD arm gives the comparison its figures and exports.
void take_best_qad(const Tried& tried, const LossConfig& loss, std::optional<RunSummary>& best) {
  for (std::size_t i = 0; i < tried.runs.size(); ++i) {
    const RunSummary& run = tried.runs[i];
    if (run.end == enum_name(RunEnd::diverged)) continue;
    if (best && selection_score(loss, run.eval) >= selection_score(loss, best->eval)) continue;
    best = run;
    for (ExportSummary& exported : best->exports) exported.folder = tried.folders[i] + "/" + exported.folder;
  }
}

}  // namespace

RunSummary compare_arms(const Recipe& recipe, const RunFolder& folder, Materials& materials) {
  RunSummary total;
  total.kind = enum_name(recipe.kind);
  total.teacher = recipe.teacher->model;
  total.student = recipe.student.model;
  total.arms.push_back(teacher_row(recipe, materials, folder));
  std::optional<RunSummary> best_qad;
  const std::vector<Arm> arms = expand_arms(recipe);
  LiveComparison live(arms, folder, total);
  for (const Arm& arm : arms) {
    std::optional<Tried> best;
    std::vector<CandidateSummary> candidates;
    for (const ArmCandidate& candidate : arm.candidates) {
      Tried tried = run_candidate(candidate, arm.name, materials, folder, total, live);
      if (about(arm.kind).judge == Judge::teacher && about(arm.kind).steps == Steps::text)
        take_best_qad(tried, candidate.front().recipe.loss, best_qad);
      candidates.push_back(candidate_of(candidate, tried));
      if (!best || tried.score < best->score) best = std::move(tried);
    }
    if (candidates.size() > 1) best->row.candidates = std::move(candidates);
    total.arms.push_back(std::move(best->row));
    live.arm_done();
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
  first_does([&] {
    live.complete(total);
    write_summary(folder.summary(), total);
  });
  return total;
}

}  // namespace qad
