// What a run tells whoever listens (progress bar, metrics.jsonl, report): plain facts, in the order of their happening.
// The trainer calls; it knows nothing of terminals, files or formats of these (qad/report does).
//
// Order: run_started; for every step step_done, then eval_done where an evaluation is due, then checkpoint_saved where
// one was written; run_finished. An evaluation of the untrained student is eval_done with step 0. A checkpoint is
// written only after step_done and eval_done of its step returned: what it knows, metrics.jsonl has on disk.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "autograd/core/fields.h"

namespace qad {

/// Held-out quality. Nats a token; means over all valid tokens, standard errors over documents.
/// NaN is "not measured": a model without a teacher has no KL.
struct EvalFigures {
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  double kl_mean = kNone;  ///< KL(teacher ‖ student)
  double kl_mean_stderr = kNone;
  double kl_p99 = kNone;  ///< 99th percentile over tokens
  double kl_p99_stderr = kNone;
  double cross_entropy = kNone;
  double cross_entropy_stderr = kNone;
  double perplexity = kNone;
  double perplexity_stderr = kNone;
  double top1_agreement = kNone;  ///< fraction of positions where teacher and student have the same likeliest token
  double top1_stderr = kNone;
  std::int64_t documents = 0;
  std::int64_t tokens = 0;

  [[nodiscard]] bool measured() const { return !std::isnan(kl_mean) || !std::isnan(cross_entropy); }
};

/// Calls visit(name, number) for each, by the names that metrics.jsonl, summary.json and checkpoints have for them.
template <class Figures, class Visit>
void visit_figures(Figures& figures, Visit&& visit) {
  visit("kl_mean", figures.kl_mean);
  visit("kl_mean_stderr", figures.kl_mean_stderr);
  visit("kl_p99", figures.kl_p99);
  visit("kl_p99_stderr", figures.kl_p99_stderr);
  visit("cross_entropy", figures.cross_entropy);
  visit("cross_entropy_stderr", figures.cross_entropy_stderr);
  visit("perplexity", figures.perplexity);
  visit("perplexity_stderr", figures.perplexity_stderr);
  visit("top1_agreement", figures.top1_agreement);
  visit("top1_stderr", figures.top1_stderr);
  visit("documents", figures.documents);
  visit("tokens", figures.tokens);
}

/// What a step of reinforcement learning saw of the answers that the model wrote in it.
struct RolloutFigures {
  static constexpr double kNone = EvalFigures::kNone;
  double reward = kNone;        ///< mean over answers
  double right = kNone;         ///< share of answers
  double length = kNone;        ///< mean tokens of an answer, its end token included
  double cut = kNone;           ///< share of answers that reached the limit
  double learned_from = kNone;  ///< share of prompts whose answers differ in reward
  double kl = kNone;            ///< to the model that the run started from, nats a token, over answers learned from
};

/// As visit_figures.
template <class Figures, class Visit>
void visit_rollout(Figures& figures, Visit&& visit) {
  visit("reward", figures.reward);
  visit("right", figures.right);
  visit("length", figures.length);
  visit("cut", figures.cut);
  visit("learned_from", figures.learned_from);
  visit("kl", figures.kl);
}

struct RunStarted {
  std::string kind;     ///< of the recipe: pretrain, sft, grpo, merge, ptq, qat, qad
  std::string name;     ///< the arm of a comparison; else the kind
  std::string teacher;  ///< where it was read from; empty without one
  std::string student;
  std::filesystem::path folder;  ///< the run's folder
  std::int64_t planned_steps = 0;
  std::int64_t first_step = 0;  ///< steps that are done already: above 0 when resumed
  /// Whether first_step's own record comes again: its evaluation is not done (as at the start of every run).
  bool evaluation_pending = true;
  std::int64_t tokens = 0;  ///< tokens trained on in those steps
  double seconds = 0.0;     ///< wall time of those steps
  std::int64_t best_step = 0;
  EvalFigures before{}, best{};  ///< as in RunFinished, of those steps
  std::int64_t parameters = 0;
  double bits_per_weight = EvalFigures::kNone;  ///< of the student as exported, over all weights
};

struct StepDone {
  std::int64_t step = 0;    ///< 1-based: optimizer steps done
  std::int64_t tokens = 0;  ///< valid tokens trained on so far, this step's included
  double loss = 0.0;
  double lr = 0.0;
  double grad_norm = 0.0;  ///< before clipping
  double tokens_per_second = 0.0;
  std::int64_t saturated_weights = 0;  ///< values beyond what their quantizer can hold, in this step's forwards
  std::int64_t saturated_activations = 0;
  bool skipped = false;       ///< loss or gradient was not finite: nothing was updated
  bool eval_follows = false;  ///< eval_done of this step comes next
  std::optional<RolloutFigures> rollout{};
};

struct EvalDone {
  std::int64_t step = 0;
  std::int64_t tokens = 0;
  EvalFigures figures;
  bool best = false;  ///< the lowest selection score (evaluator.h) so far, where that selects
  bool kept = false;  ///< its student is what best.h5 has now
};

struct CheckpointSaved {
  std::int64_t step = 0;
  std::filesystem::path file;
  double seconds = 0.0;
};

enum class RunEnd {
  planned_steps,
  early_stop,
  interrupted,
  diverged,  ///< divergence.h says when; nothing of such a run is to be used
};
inline constexpr auto enum_names(RunEnd) {
  return std::to_array<EnumName<RunEnd>>({{RunEnd::planned_steps, "planned_steps"},
                                          {RunEnd::early_stop, "early_stop"},
                                          {RunEnd::interrupted, "interrupted"},
                                          {RunEnd::diverged, "diverged"}});
}

struct RunFinished {
  RunEnd end = RunEnd::planned_steps;
  std::int64_t step = 0;
  std::int64_t tokens = 0;
  double seconds = 0.0;        ///< wall time, of earlier parts of a resumed run too
  std::int64_t best_step = 0;  ///< where `eval` was measured
  std::int64_t skipped_steps = 0;
  EvalFigures eval;    ///< of the best checkpoint
  EvalFigures before;  ///< of the student before its first step
  std::string reason;  ///< why it ended as diverged
};

class RunListener {
 public:
  RunListener() = default;
  RunListener(const RunListener&) = delete;
  RunListener& operator=(const RunListener&) = delete;
  virtual ~RunListener() = default;

  virtual void run_started(const RunStarted&) {}
  virtual void step_done(const StepDone&) {}
  virtual void eval_done(const EvalDone&) {}
  virtual void checkpoint_saved(const CheckpointSaved&) {}
  virtual void run_finished(const RunFinished&) {}
};

/// Passes every event on, in the order in which listeners were added. Does not own them.
class RunListeners final : public RunListener {
 public:
  void add(RunListener& listener) { listeners_.push_back(&listener); }

  void run_started(const RunStarted& event) override { tell(&RunListener::run_started, event); }
  void step_done(const StepDone& event) override { tell(&RunListener::step_done, event); }
  void eval_done(const EvalDone& event) override { tell(&RunListener::eval_done, event); }
  void checkpoint_saved(const CheckpointSaved& event) override { tell(&RunListener::checkpoint_saved, event); }
  void run_finished(const RunFinished& event) override { tell(&RunListener::run_finished, event); }

 private:
  template <class Event>
  void tell(void (RunListener::*method)(const Event&), const Event& event) {
    for (RunListener* listener : listeners_) (listener->*method)(event);
  }
  std::vector<RunListener*> listeners_;
};

}  // namespace qad
