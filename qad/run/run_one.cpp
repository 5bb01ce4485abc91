#include "qad/run/run_one.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <optional>
#include <utility>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "autograd/base/log.h"
#include "autograd/base/version.h"
#include "autograd/kernels/table.h"
#include "autograd/ranks/communicator.h"
#include "qad/report/format.h"
#include "qad/report/live_report.h"
#include "qad/report/machine.h"
#include "qad/report/metrics_log.h"
#include "qad/report/progress.h"
#include "qad/report/quantizer_text.h"
#include "qad/report/tensorboard_log.h"
#include "qad/run/calibrate_run.h"
#include "qad/run/export_student.h"
#include "qad/run/problem_answers.h"
#include "qad/run/search_run.h"
#include "qad/run/shared_run.h"
#include "qad/run/stage_of_run.h"
#include "qad/run/student.h"
#include "qad/train/trainer.h"

namespace qad {
namespace {

// PTQ is QAD without steps, and what is merged is not trained.
TrainerConfig trainer_config(const Recipe& recipe, const RunFolder& folder) {
  TrainerConfig config{recipe.loss, recipe.train, recipe.evaluate, recipe.checkpoint};
  if (recipe.row().steps == Steps::none) config.train.steps = 0;
  // A router that has learned keeps the balance that it has.
  if (recipe.row().start != Start::fresh) config.train.router_bias_rate = 0;
  config.best_is_last = recipe.row().best_is_last;
  config.seed = static_cast<std::uint64_t>(recipe.seed);
  config.folder = folder.path;
  if (recipe.row().judge == Judge::next_token) config.loss.kind = LossKind::cross_entropy;
  return config;
}

// Where the student's values come from.
std::string student_text(const Recipe& recipe) {
  if (recipe.row().start == Start::fresh) return "";
  if (recipe.row().start != Start::merged) return recipe.student.model;
  std::vector<std::string> models;
  for (const MergedModelConfig& one : recipe.merge->models) models.push_back(one.model);
  return fmt::format("{}", fmt::join(models, " + "));
}

RunStarted started_event(const Recipe& recipe, const RunFolder& folder, const std::string& name, Student& student,
                         const TrainerConfig& config, const RunState& state) {
  RunStarted event;
  event.kind = enum_name(recipe.kind);
  event.name = name;
  event.teacher = recipe.teacher ? recipe.teacher->model : "";
  event.student = student_text(recipe);
  event.folder = folder.path;
  event.planned_steps = config.train.steps;
  event.first_step = state.step;
  event.evaluation_pending = state.evaluation_pending;
  event.tokens = state.tokens;
  event.seconds = state.seconds;
  event.best_step = state.best_step;
  event.before = state.before;
  event.best = state.best;
  event.parameters = parameter_count(*student.model);
  event.bits_per_weight = bits_per_weight(*student.model, student.quantizers);
  return event;
}

}  // namespace

RunSummary run_one(const Recipe& given, const Materials& materials, const RunFolder& folder, const std::string& name,
                   const AroundRun& around) {
  const Recipe recipe = given.row().searches ? search_formats(given, materials, folder) : given;
  const TrainerConfig config = trainer_config(recipe, folder);
  CheckpointFolder checkpoints(folder.checkpoints(), recipe.checkpoint.keep);
  auto found = checkpoints.newest_whole();
  Student student = make_student(recipe, materials.teacher.get(), found ? nullptr : &materials.calibration);
  const StageOfRun stage = make_stage(recipe, config, materials, *student.model);

  RunInputs inputs = materials.inputs;
  add_config("student", student.model->config(), inputs);

  RunListeners listeners;
  MetricsLog metrics(folder.metrics());
  TensorBoardLog events(folder.events(), folder.metrics());
  LiveReport report(folder.path);
  Progress progress(stderr_terminal(), {}, around.seconds_left_in_all);
  if (ranks().is_first()) {
    listeners.add(metrics);
    if (recipe.report.tensorboard) listeners.add(events);
    if (around.listener != nullptr) listeners.add(*around.listener);
    listeners.add(report);
    listeners.add(progress);
  }
  std::optional<Trainer> trainer(
      std::in_place, config,
      TrainerParts{*student.model, materials.teacher.get(), student.quantizers, stage.stage.get(), materials.evaluation,
                   checkpoints, listeners, recipe_text(recipe), inputs});

  if (found) {
    check_recipe_of(found->content, recipe, found->file.string());
    trainer->restore(found->content, found->file.string());
    log_info("{}: goes on from {}", name, found->file.string());
    found.reset();  // it is as large as the run
  } else {
    log_info("{}: {} parameters; {}", name, parameter_count(*student.model), kernel_description());
    if (!student.quantizers.empty()) {
      log_info("quantizers\n{}", text_of(quantizer_table(student.quantizers)));
      ranks().place = "calibration";
      calibrate_run(student, materials, folder, recipe.calibrate);
    }
    first_does_alone([&] { check_exports(recipe, materials, student); });
  }
  if (recipe.grpo) tell_head_effect(recipe.decode, *student.model, materials.evaluation, name);

  const RunStarted started = started_event(recipe, folder, name, student, config, trainer->state());
  listeners.run_started(started);
  RunSummary summary = summary_of(started, trainer->run());
  trainer.reset();  // what follows has room where its moments were
  if (!ranks().is_alone())
    log_info("{}: {} ranks; this one sent {} and waited {} for others", name, ranks().size(),
             format_bytes(ranks().bytes_sent()), format_duration(ranks().seconds_waited()));
  first_does([&] { std::filesystem::remove(folder.calibration()); });  // the checkpoints have the scales
  summary.version = kVersion;
  if (summary.end == enum_name(RunEnd::interrupted)) throw Stopped();
  const bool usable = summary.end != enum_name(RunEnd::diverged);

  if (recipe.evaluate.problems && usable) {
    const SavedStudent best = load_student(folder, recipe, materials.teacher.get(), CheckpointChoice::best);
    const auto answered = student_answers(recipe, materials, *best.student.model, name, folder);
    summary.problems = figures_of({answered}, materials.teacher_answers);
  }
  first_does_alone([&] {
    if (usable) summary.exports = export_all(recipe, materials, folder);
    if (recipe.row().searches) add_search(folder, summary);
    summary.peak_rss_bytes = peak_rss_bytes();  // exports may set it
    report.complete(summary);
    write_summary(folder.summary(), summary);
  });
  return ranks().is_first() ? summary : read_summary(folder.summary());
}

}  // namespace qad
