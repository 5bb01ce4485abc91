#include "qad/train/trainer.h"

#include <cmath>

#include "autograd/base/clock.h"
#include "autograd/base/interrupt.h"
#include "autograd/base/log.h"
#include "autograd/base/profile.h"
#include "autograd/ranks/launch.h"
#include "qad/train/evaluator.h"

namespace qad {
namespace {

AdamW make_optimizer(const TrainerConfig& trainer, const TrainerParts& parts) {
  const TrainConfig& config = trainer.train;
  if (config.steps == 0) return {config.adamw, {}};
  if (!config.router) freeze_routers(parts.student);
  const MovedParameters moved =
      moved_parameters(parts.student, parts.quantizers, config.parameters, config.adamw, config.scale_steps);
  return {config.adamw, moved.parameters, moved.options, trainer.seed, trainer.folder};
}

}  // namespace

Trainer::Trainer(const TrainerConfig& config, const TrainerParts& parts)
    : config_(config),
      parts_(parts),
      optimizer_(make_optimizer(config, parts)),
      average_(optimizer_.parameters(), config.train.weight_ema),
      grid_(std::make_unique<GridMoves>(config.train, parts.quantizers, optimizer_.parameters())),
      balance_(parts.student, config.train.router_bias_rate),
      divergence_(config.loss, parts.student.config().vocab_size) {
  parts_.student.activation_checkpointing = config.train.activation_checkpointing;
  if (config.train.pull_to_grid.strength == 0 && config.train.oscillation_reset.window == 0) return;
  optimizer_.set_around_move([grid = grid_.get()](Parameter& parameter, double rate, const auto& move) {
    grid->around(parameter, rate, move);
  });
}

void Trainer::restore(const CheckpointContent& content, const std::string& file) {
  state_ = unpack(content, run_parts(&optimizer_), file);
  check_inputs(parts_.inputs, content, file);  // later: a checkpoint of another model is told as that
  earlier_seconds_ = state_.seconds;
  saved_step_ = state_.evaluation_pending ? -1 : state_.step;
  if (parts_.stage != nullptr) parts_.stage->seek(state_.data_position);
}

RunFinished Trainer::run() {
  started_ = steady_seconds();
  if (state_.step == 0) average_.start();  // calibration may have moved weights
  // A signal in the middle of this step's evaluation: tell its facts again, the listeners had not written them yet.
  if (state_.evaluation_pending && state_.step > 0) parts_.listener.step_done(state_.last_step);
  try {
    for (;;) {
      if (state_.evaluation_pending) evaluate_now();
      if (save_due(state_.step)) save_checkpoint();
      if (!state_.diverged.empty()) return finish(RunEnd::diverged);
      if (state_.step >= config_.train.steps) return finish(RunEnd::planned_steps);
      if (patience_over()) return finish(RunEnd::early_stop);
      agree_on_stop();
      throw_if_stopped();
      step();
    }
  } catch (const Stopped&) {
    forget_what_was_begun();
    log_info("stopped at step {}: saves a checkpoint", state_.step);
    return finish(RunEnd::interrupted);
  }
}

void Trainer::forget_what_was_begun() {
  clear_gradients(optimizer_.parameters());
  balance_.end_step(false);
  static_cast<void>(parts_.quantizers.take_saturation());
  if (parts_.stage != nullptr) parts_.stage->seek(state_.data_position);
}

void Trainer::step() {
  const ProfilePhase phase("step");
  const double began = steady_seconds();
  const TrainConfig& train = config_.train;
  ranks().place = fmt::format("step {}", state_.step + 1);
  grid_->begin_step(state_.step + 1);
  const StepResult result = parts_.stage->run(state_.step + 1, optimizer_);
  balance_.end_step(!result.skipped);
  if (const std::int64_t reset = grid_->end_step(); reset > 0)
    log_info("step {}: {} weights that oscillated are set to their rounded values", state_.step + 1, reset);
  if (!result.skipped) average_.add();
  ++state_.step;
  state_.tokens += result.tokens;
  state_.data_position = parts_.stage->position();
  state_.skipped_in_a_row = result.skipped ? state_.skipped_in_a_row + 1 : 0;
  if (result.skipped) {
    ++state_.skipped_steps;
    log_warning("step {} is skipped: {}", state_.step, result.reason);
    if (state_.skipped_in_a_row >= train.max_skipped_steps)
      state_.diverged = fmt::format("{} steps in a row had to be skipped: {}", state_.skipped_in_a_row, result.reason);
    else if (state_.skipped_steps == train.steps)
      state_.diverged = fmt::format("all steps had to be skipped: {}", result.reason);
  }
  const bool beyond =
      !result.skipped && !config_.best_is_last && divergence_.is_beyond(result.loss, score(state_.before));
  state_.beyond_in_a_row = beyond ? state_.beyond_in_a_row + 1 : 0;
  if (state_.beyond_in_a_row >= DivergenceRule::kStepsInARow)
    state_.diverged = divergence_.after_steps(result.loss, score(state_.before));
  const SaturationCounts saturated = parts_.quantizers.take_saturation();
  state_.evaluation_pending = evaluation_due(state_.step);
  state_.last_step = {.step = state_.step,
                      .tokens = state_.tokens,
                      .loss = result.loss,
                      .lr = result.learning_rate,
                      .grad_norm = result.gradient_norm,
                      .tokens_per_second = static_cast<double>(result.tokens) / (steady_seconds() - began),
                      .saturated_weights = saturated.weights,
                      .saturated_activations = saturated.activations,
                      .skipped = result.skipped,
                      .eval_follows = state_.evaluation_pending,
                      .rollout = result.rollout};
  parts_.listener.step_done(state_.last_step);
}

void Trainer::evaluate_now() {
  const AveragedScope averaged(average_);
  std::vector<LayerRouting> routing;
  const EvalFigures figures = evaluate(parts_.student, parts_.teacher, parts_.evaluation, &routing);
  static_cast<void>(parts_.quantizers.take_saturation());
  state_.evaluation_pending = false;
  if (state_.step == 0) state_.before = figures;
  else if (state_.diverged.empty() && !config_.best_is_last)
    state_.diverged = divergence_.at_evaluation(score(figures), score(state_.before));
  const bool better =
      state_.diverged.empty() && (config_.best_is_last || !state_.has_best || score(figures) < score(state_.best));
  state_.evaluations_without_better = better ? 0 : state_.evaluations_without_better + 1;
  if (better) {
    state_.has_best = true;
    state_.best = figures;
    state_.best_step = state_.step;
    if (ranks().is_first()) parts_.checkpoints.save_best(content(nullptr));
  }
  parts_.listener.eval_done({.step = state_.step,
                             .tokens = state_.tokens,
                             .figures = figures,
                             .best = better && !config_.best_is_last,
                             .kept = better,
                             .routing = std::move(routing)});
}

void Trainer::save_checkpoint() {
  const double began = steady_seconds();
  state_.seconds = earlier_seconds_ + (began - started_);
  const CheckpointContent kept = content(&optimizer_);
  const std::filesystem::path file = ranks().is_first() ? parts_.checkpoints.save(state_.step, kept) : "";
  saved_step_ = state_.evaluation_pending ? -1 : state_.step;
  parts_.listener.checkpoint_saved({state_.step, file, steady_seconds() - began});
}

RunParts Trainer::run_parts(AdamW* optimizer) {
  if (optimizer == nullptr) return {parts_.student, parts_.quantizers, nullptr};
  return {parts_.student, parts_.quantizers, optimizer, &average_, grid_->sums()};
}

CheckpointContent Trainer::content(AdamW* optimizer) {
  CheckpointContent content = pack(state_, run_parts(optimizer), parts_.recipe);
  add_inputs(parts_.inputs, content);
  return content;
}

RunFinished Trainer::finish(RunEnd end) {
  if (saved_step_ != state_.step) save_checkpoint();
  const RunFinished finished{.end = end,
                             .step = state_.step,
                             .tokens = state_.tokens,
                             .seconds = earlier_seconds_ + (steady_seconds() - started_),
                             .best_step = state_.best_step,
                             .skipped_steps = state_.skipped_steps,
                             .eval = state_.best,
                             .before = state_.before,
                             .reason = state_.diverged};
  parts_.listener.run_finished(finished);
  return finished;
}

double Trainer::score(const EvalFigures& figures) const { return selection_score(config_.loss, figures); }

bool Trainer::evaluation_due(std::int64_t step) const {
  const std::int64_t every = config_.evaluate.every;
  return step == config_.train.steps || (every > 0 && step % every == 0);
}

bool Trainer::save_due(std::int64_t step) const {
  const std::int64_t every = config_.checkpoint.every;
  // The one at step 0 keeps the calibration, so that resuming never calibrates again.
  return saved_step_ != step && (step == 0 || step == config_.train.steps || (every > 0 && step % every == 0));
}

bool Trainer::patience_over() const {
  return config_.train.patience > 0 && state_.evaluations_without_better >= config_.train.patience;
}

}  // namespace qad
