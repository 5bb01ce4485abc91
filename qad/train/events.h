// What a run tells whoever listens (progress bar, metrics.jsonl, report): plain facts, in the order of their happening.
// The trainer calls; it knows nothing of terminals, files or formats of these (qad/report does).
//
// Order: run_started; for every step step_done, then eval_done where an evaluation is due, then checkpoint_saved where
// one was written; run_finished. An evaluation of the untrained student is eval_done with step 0. A checkpoint is
// written only after step_done and eval_done of its step returned: what it knows, metrics.jsonl has on disk.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "autograd/base/fields.h"
#include "qad/checkpoint/figures.h"

namespace qad {

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

struct EvalDone {
  std::int64_t step = 0;
  std::int64_t tokens = 0;
  EvalFigures figures;
  bool best = false;                    ///< the lowest selection score (evaluator.h) so far, where that selects
  bool kept = false;                    ///< its student is what best.h5 has now
  std::vector<LayerRouting> routing{};  ///< of each layer of experts
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
