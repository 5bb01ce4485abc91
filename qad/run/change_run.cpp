#include "qad/run/change_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <variant>

#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "autograd/optim/schedule.h"
#include "qad/checkpoint/checkpoint_folder.h"
#include "qad/recipe/changeable_keys.h"
#include "qad/run/student.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

void keep_aside(const fs::path& file, std::int64_t step) {
  if (!fs::exists(file)) return;
  fs::path kept = file;
  kept.replace_filename(fmt::format("{}.step-{}{}", file.stem().string(), step, file.extension().string()));
  fs::rename(file, kept);
  log_info("{} is kept as {}", file.string(), kept.filename().string());
}

bool diverged(const RunFolder& folder) {
  return fs::exists(folder.summary()) && read_summary(folder.summary()).end == enum_name(RunEnd::diverged);
}

// Whether its evaluations have been in vain for as long as it is to wait.
bool is_out_of_patience(const CheckpointContent& known, std::int64_t patience) {
  const auto in_vain = known.numbers.find("evaluations_without_better");
  return patience > 0 && in_vain != known.numbers.end() && std::get<std::int64_t>(in_vain->second) >= patience;
}

}  // namespace

RunChange::RunChange(const RunFolder& folder, const std::vector<std::string>& changes)
    : folder_(folder), before_(read_given_recipe(folder)), recipe_(changed_recipe(before_, changes)) {
  const fs::path around = fs::weakly_canonical(folder.path).parent_path();
  if (around.filename() == "arms" && is_run_folder(around.parent_path()))
    throw Error({.who = folder.path.string(),
                 .expected = "a run of its own",
                 .got = "an arm of a comparison",
                 .hint = "change the comparison: qad resume " + around.parent_path().string()},
                ExitCode::usage);
  if (recipe_text(before_) == recipe_text(recipe_)) return;
  if (before_.row().is_comparison) look_at_arms();
  else runs_.push_back(one_of(folder, recipe_));
  if (!trains_) refuse_keys_of_steps();
}

void RunChange::refuse_keys_of_steps() const {
  const bool is_one = !before_.row().is_comparison, is_trained = is_one && before_.row().steps != Steps::none;
  const bool ends_here = !is_one || (is_trained && runs_.front().step == recipe_.train.steps);
  std::vector<std::string> keys = changed_keys(before_, recipe_);
  std::erase_if(
      keys, [&](const std::string& key) { return !key.starts_with("train.") || (ends_here && key == "train.steps"); });
  if (keys.empty()) return;
  std::string hint = "nothing is left to train; add train.steps=N";
  if (is_one && !is_trained) hint = fmt::format("kind: {} trains nothing", enum_name(before_.kind));
  else if (!ends_here) hint = "it has ended by train.patience; add a larger one, or train.patience=0";
  throw Error({.who = fmt::format("{}", fmt::join(keys, ", ")),
               .expected = "a step still to come",
               .got = "none in " + folder_.path.string(),
               .hint = hint},
              ExitCode::usage);
}

void RunChange::look_at_arms() {
  for (const Arm& arm : expand_arms(recipe_))
    for (const ArmCandidate& candidate : arm.candidates)
      for (const ArmRun& run : candidate) {
        const RunFolder own{folder_.arm(run.name)};
        if (!is_run_folder(own.path)) {
          trains_ |= about(arm.kind).steps != Steps::none && run.recipe.train.steps > 0;
        } else if (recipe_text(read_given_recipe(own)) != recipe_text(run.recipe) && !diverged(own)) {
          One one = one_of(own, run.recipe);
          if (recipe_text(one.before) != recipe_text(one.after)) runs_.push_back(std::move(one));
        }
      }
}

RunChange::One RunChange::one_of(const RunFolder& folder, const Recipe& after) {
  One run{folder, read_given_recipe(folder), after};
  if (auto found = CheckpointFolder(folder.checkpoints(), after.checkpoint.keep).newest_whole()) {
    found->content.tensors.clear();
    run.known = std::move(found->content);
    run.checkpoint = found->file;
    if (const auto step = run.known.numbers.find("step"); step != run.known.numbers.end())
      run.step = std::get<std::int64_t>(step->second);
  }
  if (after.train.steps < run.step)
    throw Error({.who = "train.steps",
                 .expected = fmt::format("at least the {} that {} has done", run.step, folder.path.string()),
                 .got = std::to_string(after.train.steps)},
                ExitCode::usage);
  if (diverged(folder))
    throw Error({folder.path.string(), "a run that has not diverged", read_summary(folder.summary()).reason,
                 "begin a new run, with a lower train.lr"},
                ExitCode::usage);
  const bool is_trained = after.row().steps != Steps::none;
  if (is_trained && run.step < after.train.steps && !is_out_of_patience(run.known, after.train.patience)) {
    trains_ = true;
  } else {  // its recipe says what it was trained with
    run.after.train = run.before.train;
    if (is_trained) run.after.train.steps = after.train.steps;
  }
  return run;
}

void RunChange::tell(const One& run) {
  const TrainConfig &before = run.before.train, &after = run.after.train;
  if (after.steps == 0) return;
  const auto rate = [&](const TrainConfig& train) {
    return learning_rate(train.schedule_config(), std::min(run.step + 1, train.steps));
  };
  log_info(
      "{}: goes on after step {} of {} towards step {}; the learning rate ({}) is that of a run of {} steps from its "
      "first one: {:.3g} at the next step, where it was {:.3g}",
      run.folder.path.string(), run.step, before.steps, after.steps, enum_name(after.schedule), after.steps,
      rate(after), rate(before));
}

void RunChange::make(const RunInputs& inputs) const {
  if (recipe_text(before_) == recipe_text(recipe_)) return;
  for (const One& run : runs_) {
    check_recipe_of(run.known, read_recipe(run.folder), run.checkpoint.string());  // with what a search found
    check_inputs(inputs, run.known, run.checkpoint.string());
  }
  // Killed between two of these lines, it is a run that has not ended yet, by the old recipe or by the new.
  for (const One& run : runs_) {
    keep_aside(run.folder.summary(), run.step);
    keep_aside(run.folder.answers(), run.step);
    rewrite_recipe(run.folder, run.after);
    tell(run);
  }
  if (!before_.row().is_comparison) return;
  std::int64_t step = 0;
  for (const One& run : runs_) step = std::max(step, run.step);
  keep_aside(folder_.summary(), step);
  if (before_.evaluate.problems != recipe_.evaluate.problems) keep_aside(folder_.answers(), step);  // the teacher's
  rewrite_recipe(folder_, recipe_);
}

}  // namespace qad
