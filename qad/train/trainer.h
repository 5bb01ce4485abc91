// The loop of a run: step, evaluate, save, until the planned steps are done, an evaluation says stop, or a signal
// comes. It tells listeners what happens; it prints nothing and knows no recipe.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "autograd/optim/weight_average.h"
#include "qad/checkpoint/checkpoint_config.h"
#include "qad/checkpoint/checkpoint_folder.h"
#include "qad/checkpoint/run_inputs.h"
#include "qad/checkpoint/run_state.h"
#include "qad/loss/loss.h"
#include "qad/train/divergence.h"
#include "qad/train/events.h"
#include "qad/train/grid_moves.h"
#include "qad/train/routers.h"
#include "qad/train/stage.h"
#include "qad/train/train_config.h"

namespace qad {

struct TrainerConfig {
  LossConfig loss;
  TrainConfig train;
  EvaluateConfig evaluate;
  CheckpointConfig checkpoint;
  /// The best checkpoint is the last one evaluated, and nothing diverges: where held-out text does not tell what the
  /// run is for.
  bool best_is_last = false;
  std::uint64_t seed = 0;              ///< of the chance by which BF16 moments are rounded
  std::filesystem::path folder = ".";  ///< on whose disk moments are, if the optimizer has them in a file
};

struct TrainerParts {
  LanguageModel& student;
  LanguageModel* teacher;  ///< of evaluation; may be null
  QuantizerSet& quantizers;
  Stage* stage;  ///< may be null when there are no steps (PTQ)
  const std::vector<TokenBatch>& evaluation;
  CheckpointFolder& checkpoints;
  RunListener& listener;
  std::string recipe;  ///< the resolved recipe's text, for the checkpoints
  RunInputs inputs{};  ///< for the checkpoints too
};

class Trainer {
 public:
  Trainer(const TrainerConfig& config, const TrainerParts& parts);

  /// Goes on from a checkpoint's content; `file` names it in errors. Throws Error for one of other inputs.
  void restore(const CheckpointContent& content, const std::string& file);
  [[nodiscard]] const RunState& state() const { return state_; }
  /// Until the end, a stop (autograd/base/interrupt.h), or divergence (divergence.h says when); the last state is in a
  /// checkpoint when it returns.
  RunFinished run();

 private:
  [[nodiscard]] bool evaluation_due(std::int64_t step) const;
  [[nodiscard]] bool save_due(std::int64_t step) const;
  [[nodiscard]] bool patience_over() const;
  void step();
  void evaluate_now();
  void forget_what_was_begun();
  void save_checkpoint();
  [[nodiscard]] CheckpointContent content(AdamW* optimizer);
  [[nodiscard]] RunParts run_parts(AdamW* optimizer);
  [[nodiscard]] RunFinished finish(RunEnd end);
  [[nodiscard]] double score(const EvalFigures& figures) const;

  TrainerConfig config_;
  TrainerParts parts_;
  AdamW optimizer_;
  WeightAverage average_;
  std::unique_ptr<GridMoves> grid_;
  RouterBalance balance_;
  DivergenceRule divergence_;
  RunState state_;
  double earlier_seconds_ = 0;
  double started_ = 0;
  std::int64_t saved_step_ = -1;
};

}  // namespace qad
