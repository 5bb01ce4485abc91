// The recipe's `train` and `evaluate` sections.
#pragma once

#include <optional>

#include "autograd/base/fields.h"
#include "autograd/core/precision.h"
#include "autograd/optim/adamw.h"
#include "autograd/optim/schedule.h"
#include "models/language_model.h"
#include "qad/train/grid_config.h"
#include "qad/train/parameter_rules.h"
#include "qad/train/problem_evaluation_config.h"

namespace qad {

struct TrainConfig {
  std::int64_t steps = 400;
  std::int64_t batch_size = 8;
  std::int64_t micro_batch_size = 0;
  std::int64_t shards = 1;
  double lr = 1e-4;
  Schedule schedule = Schedule::cosine;
  std::int64_t warmup_steps = 0;
  double final_lr_fraction = 0.0;
  double decay_fraction = 0.2;
  double clip_norm = 1.0;
  AdamWConfig adamw;
  std::vector<ParameterRule> parameters{};
  std::int64_t scale_steps = 0;
  double weight_ema = 0;
  PullToGridConfig pull_to_grid;
  OscillationResetConfig oscillation_reset;
  ActivationCheckpointing activation_checkpointing = ActivationCheckpointing::none;
  std::int64_t max_skipped_steps = 5;
  std::int64_t patience = 0;
  Precision forward = Precision::fp32;
  Precision backward = Precision::fp32;
  bool router = true;
  double router_bias_rate = 1e-3;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"steps", "optimizer steps"}.changeable().at_least(0), steps);
    visit(Field{"batch_size", "sequences a step"}.at_least(1), batch_size);
    visit(Field{"micro_batch_size",
                "sequences a forward; a step (of shards, each of them) accumulates over several; 0: all of them"}
              .changeable()
              .at_least(0),
          micro_batch_size);
    visit(
        Field{
            "shards",
            "equal parts of a step's sequences (a power of two), whose gradients are sums of their own: so many ranks "
            "(mpirun) can share a step, and any number of them gives the same bits"}
            .at_least(1)
            .at_most(1 << 16),
        shards);
    visit(Field{"lr", "peak learning rate"}.changeable().at_least(0), lr);
    visit(Field{"schedule", "how the learning rate falls after the warm-up"}.changeable(), schedule);
    visit(Field{"warmup_steps", "steps in which the learning rate rises to its peak"}.changeable().at_least(0),
          warmup_steps);
    visit(Field{"final_lr_fraction", "learning rate at the end over the peak"}.changeable().between(0, 1),
          final_lr_fraction);
    visit(Field{"decay_fraction",
                "warmup_stable_decay: the last part of the steps after the warm-up, in which the rate falls"}
              .changeable()
              .above(0)
              .at_most(1),
          decay_fraction);
    visit(Field{"clip_norm", "largest norm of a step's gradient, longer ones are scaled down; 0: no clipping"}
              .changeable()
              .at_least(0),
          clip_norm);
    visit(Field{"adamw", "optimizer"}, adamw);
    visit(
        Field{"parameters",
              "learning rate and weight decay by a parameter's name and role, or that it stays as it is; the last rule "
              "that matches it decides"},
        parameters);
    visit(Field{"scale_steps", "first steps in which learned scales (quantize.scales) alone move"}.at_least(0),
          scale_steps);
    visit(Field{"weight_ema",
                "decay of a running average of all that is trained, which is evaluated and exported in its place; 0: "
                "none"}
              .at_least(0)
              .below(1),
          weight_ema);
    visit(Field{"pull_to_grid", "in the last steps weights are pulled to the values that they are rounded to (CAGE)"},
          pull_to_grid);
    visit(Field{"oscillation_reset", "weights that flip between two codes are set to one of their values (OsciReset)"},
          oscillation_reset);
    visit(Field{"activation_checkpointing", "block: keep a block's input only and compute it again in backward"}
              .changeable(),
          activation_checkpointing);
    visit(Field{"max_skipped_steps", "stop after this many steps in a row whose loss or gradient is not finite"}
              .changeable()
              .at_least(1),
          max_skipped_steps);
    visit(Field{"patience", "stop after this many evaluations without a better one; 0: never"}.changeable().at_least(0),
          patience);
    visit(Field{"forward",
                "numbers of the student's products with inputs that no rule quantizes: bf16 rounds these, or fp32"},
          forward);
    visit(Field{"backward", "numbers of gradient products: bf16 rounds both factors, sums stay in FP32; or fp32"},
          backward);
    visit(Field{"router", "of models with experts: whether routers learn; false: their weights stay as they were"},
          router);
    visit(Field{"router_bias_rate",
                "pretrain, of routers with a choice bias: how far each step moves an expert's, up where fewer tokens "
                "went to it than to experts on average, down where more did; 0: not at all"}
              .changeable()
              .at_least(0),
          router_bias_rate);
  }

  [[nodiscard]] ScheduleConfig schedule_config() const {
    return {schedule, lr, final_lr_fraction, decay_fraction, warmup_steps, steps};
  }
};

struct EvaluateConfig {
  std::int64_t every = 100;
  std::int64_t batch_size = 16;
  std::optional<ProblemEvaluationConfig> problems;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"every", "steps between evaluations; 0: only before and after training"}.changeable().at_least(0),
          every);
    visit(Field{"batch_size", "sequences a forward"}.changeable().at_least(1), batch_size);
    visit(Field{"problems", "at the end, problems that the best checkpoint answers ({}: with these defaults)"}
              .changeable(),
          problems);
  }
};

}  // namespace qad
